"""Judge age models on labeled pictures, through the C++ core.

In the order of the work: `labels` reads a labeled set, `ask` has the core answer its pictures, `predictions` keeps
the answers; `figures`, `calibration`, `verification`, `subgroups` and `comparison` are pure functions of them;
`document` gathers all, `headlines` and `report` show it. docs/evaluation.md defines every figure.
"""
