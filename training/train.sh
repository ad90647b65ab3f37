#!/bin/sh
# Teach, train, average and export: train.sh DATA BASE TEACHER PROMPTS OUT, all as in README.md; OUT is a folder.
# Two runs, one for each seed, side by side on a core each; what is shipped is their mean.
set -eu
data=$1 base=$2 teacher=$3 prompts=$4 out=$5
here=$(dirname "$0")
export PYTHONPATH="$here/.."  # for the product's tokenizer
steps=${STEPS:-2300}
mkdir -p "$out"
python "$here/glossary.py"
python "$here/teacher.py" --data "$data/train" --base "$base" --teacher "$teacher" --prompts "$prompts" \
  --out "$out/teacher.npz"
for seed in 7 8; do
  nice -n 5 python "$here/train.py" --data "$data/train" --base "$base" --teacher "$out/teacher.npz" --threads 1 \
    --seed "$seed" --steps "$steps" --out "$out/$seed.safetensors" &
done
wait
python "$here/merge.py" "$out/7.safetensors" "$out/8.safetensors" --out "$out/encoder.safetensors"
python "$here/export.py" --weights "$out/encoder.safetensors" --out "$out/encoder.onnx"
python "$here/evaluate.py" --data "$data" --onnx "$out/encoder.onnx" \
  --cases "$here/../tests/data/cases" --json "$out/evaluation.json"
