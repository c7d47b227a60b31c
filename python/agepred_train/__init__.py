"""Train, export, quantize, evaluate and release the age model of agepred.

The modules follow the data: `data` reads labeled pictures, `prepare` finds their faces, `dataset` cuts
crops, `model` and `loss` and `recipes` say what is learned, `train` learns it, `export` and `quantize`
write the two ONNX files, `evaluation` judges them through the C++ core, `release` assembles what is shipped.
Crops and evaluation come from `agepred_edge`, so that training and device see the same pixels.
"""

from importlib.util import find_spec

if find_spec("torchvision") is not None:
    from agepred_train.torchvision_operators import declare_missing

    # Before anything imports Lightning, whose metrics import torchvision.
    declare_missing()
