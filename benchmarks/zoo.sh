#!/usr/bin/env bash
# Train, judge and ship the models of siw-ecal:  benchmarks/zoo.sh siw_photons.h5 FOLDER
# An hour on two cores. Every step goes on, or is skipped, when the script is run again.
set -euo pipefail
data=$1 out=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$out"

caloforge train caloclouds-2/small --data "$data" --out "$out/edm" training.point_diffusion.steps=20000
caloforge train caloclouds-2-cm/small --data "$data" --out "$out/cm" --init-from "$out/edm" \
  training.point_diffusion.steps=20000 training.distillation.steps=6000

# weights first: what is judged and timed is what the package ships
ship() { python "$here/ship.py" "$@"; }
shipped() { [ -e "$out/$1.shipped" ] || { ship weights "$out/$1" "$2" && touch "$out/$1.shipped"; }; }
shipped edm caloclouds-2:siw-ecal
shipped cm caloclouds-2-cm:siw-ecal
[ -e "$out/benchmark.json" ] || caloforge benchmark caloclouds-2:siw-ecal caloclouds-2-cm:siw-ecal \
  --geant4 --showers 100 --record --out "$out/benchmark.json"

# the particles of the report part; clouds, so that one file serves every impact point
[ -e "$out/report.h5" ] || caloforge convert "$data" "$out/report.h5" --skip 5600 --count 1400
clouds() { [ -e "$out/$1.h5" ] || caloforge generate "$2" --like "$out/report.h5" --points --out "$out/$1.h5" "${@:3}"; }
clouds edm25 caloclouds-2:siw-ecal --seed 11
clouds cm1 caloclouds-2-cm:siw-ecal --seed 12

judge() { # FOLDER OFFSET LEVEL
  [ -e "$out/$1/metrics.json" ] || caloforge evaluate --reference "$data" --part report --baseline "$data" \
    --offset "$2" --generated "EDM, 25 NFE=$out/edm25.h5" --generated "CM, 1 NFE=$out/cm1.h5" \
    --metrics "$3" --out "$out/$1"
}
judge evaluation 0,0 standard
judge offset-x 2.544,0 fast # the middle of an edge
judge offset-xy 2.544,2.544 fast # the centre of a cell
judge offset-any 1.1,0.4 fast # anywhere

ship evaluation "$out/evaluation" "EDM, 25 NFE" caloclouds-2:siw-ecal
ship evaluation "$out/evaluation" "CM, 1 NFE" caloclouds-2-cm:siw-ecal
python "$here/results.py" "$out"
