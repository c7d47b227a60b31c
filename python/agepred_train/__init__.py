"""Train, export, quantize, evaluate and release the age model of agepred.

The modules follow the data: `data` reads labeled pictures, `prepare` finds their faces, `dataset` cuts
crops, `model` and `loss` and `recipes` say what is learned, `train` learns it, `export` and `quantize`
write the two ONNX files, `evaluation` judges them through the C++ core, `release` assembles what is shipped.
Crops and evaluation come from `agepred_edge`, so that training and device see the same pixels.
"""
