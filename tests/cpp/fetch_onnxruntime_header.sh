#!/usr/bin/env bash
# fetch_onnxruntime_header.sh FOLDER: puts ONNX Runtime's official C header below FOLDER, for test_onnx_api.
#
# Debian 13 and Raspberry Pi OS 13 package it as libonnxruntime-dev; on an older Debian that one package is taken from
# the next suite and unpacked, not installed, with lists and caches of its own. Where neither works, FOLDER stays
# empty with a word of it, and the test is left out.
set -u
folder=$1
mkdir -p "$folder"

for installed in /usr/include/onnxruntime /usr/include/onnxruntime/core/session /usr/local/include/onnxruntime; do
    if [ -f "$installed/onnxruntime_c_api.h" ]; then
        ln -sfn "$installed" "$folder/system"
        exit 0
    fi
done

if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "no onnxruntime_c_api.h here and no apt to fetch it with: test onnx_api is left out"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
    grep -oE 'https?://[^ ]+/debian/?( |$)' | head -1 | tr -d ' ')
if [ -z "$mirror" ]; then
    echo "no Debian mirror is configured: test onnx_api is left out"
    exit 0
fi
echo "deb $mirror trixie main" >"$work/sources.list"
apt=(apt-get -qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$work/lists"
    -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root)
if (cd "$work" && "${apt[@]}" update && "${apt[@]}" download libonnxruntime-dev) >"$work/log" 2>&1 &&
    dpkg-deb -x "$work"/libonnxruntime-dev_*.deb "$work/unpacked"; then
    mkdir -p "$folder/debian"
    cp "$work"/unpacked/usr/include/onnxruntime/*.h "$folder/debian/"
else
    echo "libonnxruntime-dev could not be fetched: test onnx_api is left out"
    tail -3 "$work/log"
fi
