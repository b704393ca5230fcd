#!/usr/bin/env bash
# Reconstructions that learnt from generated photons and electrons:  benchmarks/downstream.sh siw_photons.h5 FOLDER
# Two hours on two cores, most of them Geant4 (CALOFORGE_GEANT4_DATA names its data sets).
# Every step goes on, or is skipped, when the script is run again.
set -euo pipefail
data=$1 out=$2 photons=caloclouds-2:siw-ecal
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$out"
convert() { [ -e "$out/$2.h5" ] || caloforge convert "$1" "$out/$2.h5" "${@:3}"; }
generate() { [ -e "$out/$1.h5" ] || caloforge generate "$2" --like "$out/$3.h5" --seed "$4" --out "$out/$1.h5"; }

[ -e "$out/electrons.h5" ] || caloforge simulate --geometry siw-ecal --particle e- --energy 10:100 \
  --count 4000 --seed 11 --out "$out/electrons.h5"

# half of the electrons train a model (both stages are trained again, from fresh weights: nothing of the
# photons' networks stays); the others, and photons outside of the train part of the photons' model, are
# those that reconstructions learn from and are tested with
convert "$out/electrons.h5" train_e --count 2000
convert "$out/electrons.h5" unseen_e --skip 2000
convert "$data" unseen_g --skip 4900 --count 2000
caloforge train caloclouds-2/small --data "$out/train_e.h5" --out "$out/edm_e" --init-from "$photons" \
  --retrain shower_flow --retrain point_diffusion \
  training.shower_flow.steps=600 training.shower_flow.learning_rate=0.0005 \
  training.point_diffusion.steps=1500 training.point_diffusion.learning_rate=0.0005

generate edm25_e "$out/edm_e" unseen_e 23
generate edm25_g "$photons" unseen_g 24

python "$here/downstream.py" "$out"
