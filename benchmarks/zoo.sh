#!/usr/bin/env bash
# Train, time, judge and ship the models of models.txt:
#
#   benchmarks/zoo.sh siw_photons.h5 FOLDER [MODEL ...]
#   benchmarks/zoo.sh cylinder_electrons_ds2.hdf5 FOLDER [MODEL ...]
#
# Every step goes on, or is skipped, when the script is run again. Models that are named are judged apart
# from the others. STEPS="train ship" runs these steps alone; in order: train ship benchmark generate judge
# offsets card. `python benchmarks/results.py FOLDER ...` then writes docs/results.md from all folders together.
set -euo pipefail
data=$1 out=$2
shift 2
wanted=("$@")
steps=${STEPS:-train ship benchmark generate judge offsets card}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
case $data in *.hdf5 | *cylinder*) tag=cylinder-ds2 ;; *) tag=siw-ecal ;; esac
mkdir -p "$out"

step() { [[ " $steps " == *" $1 "* ]]; }

models=()
declare -A kind preset seed label start changes
while IFS='|' read -r set model k p s l i c; do
  model=${model// /}
  [[ ${set// /} == "$tag" ]] || continue
  if ((${#wanted[@]})) && [[ " ${wanted[*]} " != *" $model "* ]]; then continue; fi
  models+=("$model")
  kind[$model]=${k// /} preset[$model]=${p// /} seed[$model]=${s// /} start[$model]=${i// /} changes[$model]=$c
  label[$model]=$(sed 's/^ *//; s/ *$//' <<<"$l")
done < <(grep -v '^#' "$here/models.txt")
((${#models[@]})) || { echo "models.txt has none of: ${wanted[*]} ($tag)" >&2 && exit 2; }
suffix=$(IFS=+ && echo "${wanted[*]:+-${wanted[*]}}")

if [[ $tag == cylinder-ds2 ]]; then # the challenge's format does not tell the geometry
  native=$out/$(basename "$data" .hdf5).h5
  [ -e "$native" ] || caloforge convert "$data" "$native" --input-geometry "$tag"
  data=$native
fi

train() { # MODEL
  [ ! -e "$out/$1/model/card.json" ] || return 0
  local from=${start[$1]} changed
  read -ra changed <<<"${changes[$1]}"
  if [[ $from ]]; then if [ -d "$out/$from/model" ]; then from=$out/$from; else from=$from:$tag; fi; fi
  caloforge train "$1/${preset[$1]}" --data "$data" --out "$out/$1" ${from:+--init-from "$from"} "${changed[@]}"
}

ship() { # weights first: what is timed and judged is what the package ships
  [ -e "$out/$1.shipped" ] || { python "$here/ship.py" weights "$out/$1" "$1:$tag" && touch "$out/$1.shipped"; }
}

measure() { # MODEL...
  [ -e "$out/benchmark$suffix.json" ] || caloforge benchmark "${@/%/:$tag}" --geant4 --threads 1 --batch-sizes 1,100 --showers 100 \
    --record --out "$out/benchmark$suffix.json"
}

report() { # the particles of the report part, the last fifth
  [ ! -e "$out/report.h5" ] || return 0
  local n
  n=$(python -c 'import sys; from caloforge.formats import open_showers; print(len(open_showers(sys.argv[1])))' "$data")
  caloforge convert "$data" "$out/report.h5" --skip $((n * 8 / 10)) --count $((n - n * 8 / 10))
}

generate() { # as points where that can be, so that one file serves every impact point
  local points=()
  if [[ ${kind[$1]} == points && $tag == siw-ecal ]]; then points=(--points); fi
  [ -e "$out/$1.h5" ] || caloforge generate "$1:$tag" --like "$out/report.h5" "${points[@]}" --seed "${seed[$1]}" \
    --out "$out/$1.h5"
}

judge() { # NAME OFFSET LEVEL MODEL...
  local folder=$out/$1$suffix given=() baseline=() model
  [ ! -e "$folder/metrics.json" ] || return 0
  for model in "${@:4}"; do given+=(--generated "${label[$model]}=$out/$model.h5"); done
  [[ ${given[*]} ]] || return 0
  # once is enough for the table
  grep -qs '"resampled points"' "$out/$1/metrics.json" "$out/$1"-*/metrics.json || baseline=(--baseline "$data")
  caloforge evaluate --reference "$data" --part report "${baseline[@]}" --offset "$2" "${given[@]}" \
    --metrics "$3" --out "$folder"
}

offsets() {
  local movable=() model
  for model in "${models[@]}"; do
    if [[ ${kind[$model]} == points && $tag == siw-ecal ]]; then movable+=("$model"); fi
  done
  judge offset-x 2.544,0 fast "${movable[@]}" # the middle of an edge
  judge offset-xy 2.544,2.544 fast "${movable[@]}" # the centre of a cell
  judge offset-any 1.1,0.4 fast "${movable[@]}" # anywhere
}

for model in "${models[@]}"; do
  if step train; then train "$model"; fi
  if step ship; then ship "$model"; fi
done
if step benchmark; then measure "${models[@]}"; fi # together: one run of Geant4 stands beside all
for model in "${models[@]}"; do
  if step generate; then report && generate "$model"; fi
done
if step judge; then judge evaluation 0,0 standard "${models[@]}"; fi
if step offsets; then offsets; fi
if step card; then
  for model in "${models[@]}"; do
    python "$here/ship.py" evaluation "$out/evaluation$suffix" "${label[$model]}" "$model:$tag"
  done
fi
