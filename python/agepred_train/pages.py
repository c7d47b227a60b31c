"""Pages in HTML that need nothing beside them."""

import base64
from collections.abc import Sequence
from html import escape

STYLE = """
body{font:14px/1.45 sans-serif;max-width:1100px;margin:24px auto;padding:0 16px;color:#222}
table{border-collapse:collapse;margin:8px 0 20px}td,th{padding:3px 12px;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child{text-align:left;white-space:pre}h2{margin-top:36px}svg{margin:0 12px 12px 0}
figure{display:inline-block;width:210px;margin:4px;vertical-align:top;font-size:11px;overflow-wrap:anywhere}
figure img{display:block}code{font-size:12px;overflow-wrap:anywhere}
"""


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; cells are texts."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heading)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def picture(jpeg: bytes, caption: str) -> str:
    """Return a picture with words below it."""
    words = escape(caption)
    image = f'<img src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}" alt="{words}">'
    return f"<figure>{image}<figcaption>{words}</figcaption></figure>"
