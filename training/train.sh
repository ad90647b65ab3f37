#!/bin/sh
# Train, average and export: train.sh DATA BASE OUT. DATA and BASE as in README.md; OUT is a folder.
# Three rounds of two seeds; each round starts from the mean of the last one's two runs.
set -eu
data=$1 base=$2 out=$3
here=$(dirname "$0")
mkdir -p "$out"
start=$base/model.safetensors
for round in 1 2 3; do
  for seed in 7 8; do
    nice -n 19 python "$here/train.py" --data "$data/train" --base "$base" --start "$start" --threads 1 \
      --seed "$((round * 100 + seed))" --steps 300 --out "$out/$round-$seed.safetensors" &
  done
  wait
  python "$here/merge.py" "$out/$round-7.safetensors" "$out/$round-8.safetensors" --out "$out/$round.safetensors"
  start=$out/$round.safetensors
done
# A quarter of the untuned weights costs little on short requests and gives back a part of what long prompts lost.
python "$here/merge.py" "$start" --out "$out/encoder.safetensors" --base "$base/model.safetensors" --share 0.75
python "$here/export.py" --weights "$out/encoder.safetensors" --base "$base" --out "$out/encoder.onnx"
python "$here/evaluate.py" --data "$data" --base "$base" --onnx "$out/encoder.onnx" --json "$out/evaluation.json"
