// Mosaic as a fast simulation model of Geant4 (11 or newer): photons that arrive at a calorimeter's front face become hits.
//
//   // caloforge export mosaic:siw-ecal --target cpp --out engine
//   const auto model = std::make_shared<const caloforge::mosaic::Model>(caloforge::mosaic::load("engine/model.mosaic"));
//   // in ConstructSDandField, which Geant4 calls in every thread: models are one a thread, the tables shared
//   new MosaicFastSimulation("mosaic", region, model, silicon_tungsten(), range, seed);
//
// The region is that of the calorimeter; its envelope's z axis points inwards. Its sensors' detectors are
// G4VSensitiveDetectors that are G4VFastSimSensitiveDetectors, too, so that these hits and those of steps come into one
// collection. The physics list needs G4FastSimulationPhysics with ActivateFastSimulation("gamma").
//
// Photon n of event i is shower i * 2^20 + n of the seed, the one that `caloforge simulate --fast` makes.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include <caloforge/mosaic.hpp>

#include "G4Event.hh"
#include "G4EventManager.hh"
#include "G4FastHit.hh"
#include "G4FastSimHitMaker.hh"
#include "G4FastStep.hh"
#include "G4FastTrack.hh"
#include "G4Gamma.hh"
#include "G4ParticleDefinition.hh"
#include "G4SystemOfUnits.hh"
#include "G4ThreeVector.hh"
#include "G4Track.hh"
#include "G4VFastSimulationModel.hh"

/// Where the cells are, in the envelope's coordinates; cells are numbered by layer, x, y.
struct MosaicReadout {
    G4int nx, ny;
    G4double pitch;
    G4double front;                ///< z of the front face
    std::vector<G4double> sensor;  ///< depths of the middle of the sensors behind it

    G4double left() const { return -0.5 * nx * pitch; }
    G4double below() const { return -0.5 * ny * pitch; }
};

/// siw-ecal of caloforge: 20 layers of 2.1 mm and 10 of 4.2 mm of tungsten, 0.5 mm of silicon each.
inline MosaicReadout silicon_tungsten(G4double front = 0.0) {
    MosaicReadout readout{30, 30, 5.0883 * mm, front, {}};
    G4double depth = 0.0;
    for (int layer = 0; layer < 30; ++layer) {
        depth += (layer < 20 ? 2.1 : 4.2) * mm;
        readout.sensor.push_back(depth + 0.25 * mm);
        depth += 0.5 * mm;
    }
    return readout;
}

/// What the model was trained on, and how near to it counts as on it.
struct MosaicRange {
    G4double lowest = 10 * GeV, highest = 100 * GeV;
    G4double angle = 0.02 * rad;   ///< from the normal
    G4double place = 0.05 * mm;    ///< from a corner of four cells
    G4double margin = 20 * mm;     ///< least distance from the border of the read-out
};

class MosaicFastSimulation : public G4VFastSimulationModel {
public:
    using Model = std::shared_ptr<const caloforge::mosaic::Model>;

    MosaicFastSimulation(const G4String& name, G4Envelope* envelope, Model model, MosaicReadout readout,
                         MosaicRange range, std::uint64_t seed)
        : G4VFastSimulationModel(name, envelope), model_(std::move(model)), scratch_(*model_),
          readout_(std::move(readout)), range_(range), seed_(seed) {
        if (model_->conditions() != 1)
            throw std::invalid_argument("The model knows more than energies: this class tells it nothing else.");
    }

    G4bool IsApplicable(const G4ParticleDefinition& particle) override { return &particle == G4Gamma::Definition(); }

    /// Photons of known energies on the front face, along the normal, at a corner of four cells.
    G4bool ModelTrigger(const G4FastTrack& track) override {
        const G4double energy = track.GetPrimaryTrack()->GetKineticEnergy();
        if (energy < range_.lowest || energy > range_.highest) return false;
        const G4ThreeVector at = track.GetPrimaryTrackLocalPosition();
        if (std::abs(at.z() - readout_.front) > 1e-6 * mm) return false;  // born inside, or on its way out
        if (track.GetPrimaryTrackLocalDirection().z() < std::cos(range_.angle)) return false;
        return on_corner(at.x(), readout_.left()) && on_corner(at.y(), readout_.below());
    }

    void DoIt(const G4FastTrack& track, G4FastStep& step) override {
        step.KillPrimaryTrack();
        step.ProposePrimaryTrackPathLength(0.0);
        step.ProposeTotalEnergyDeposited(0.0);  // sensors get theirs as hits
        make(float(track.GetPrimaryTrack()->GetKineticEnergy() / MeV), next_number());
        place(track);
    }

private:
    G4bool on_corner(G4double at, G4double low) const {
        const G4double steps = at / readout_.pitch;
        const G4bool near = std::abs(steps - std::round(steps)) * readout_.pitch <= range_.place;
        return near && std::abs(at) <= -low - range_.margin;
    }

    std::uint64_t next_number() {
        const G4int event = G4EventManager::GetEventManager()->GetConstCurrentEvent()->GetEventID();
        if (event != event_) event_ = event, photon_ = 0;
        return (std::uint64_t(event) << 20) + photon_++;
    }

    void make(float energy, std::uint64_t number) {
        codes_.assign(std::size_t(model_->conditions()), 0);
        codes_.at(0) = caloforge::mosaic::energy_code(energy);
        hits_.clear();
        scratch_.generate({caloforge::mosaic::shower_key(seed_, number), energy, codes_.data()}, hits_);
    }

    /// Moves the shower by whole cells to the photon; what leaves the read-out is lost.
    void place(const G4FastTrack& track) {
        const G4ThreeVector at = track.GetPrimaryTrackLocalPosition();
        const G4int right = G4int(std::lround(at.x() / readout_.pitch));
        const G4int up = G4int(std::lround(at.y() / readout_.pitch));
        if (fresh_) {  // a hit maker puts its first hit where the track is: let that be nothing
            maker_.make(G4FastHit(at, std::numeric_limits<G4double>::min()), track);
            fresh_ = false;
        }
        for (const caloforge::mosaic::Hit& hit : hits_) {
            const G4int layer = hit.cell / (readout_.nx * readout_.ny), local = hit.cell % (readout_.nx * readout_.ny);
            const G4int x = local / readout_.ny + right, y = local % readout_.ny + up;
            if (x < 0 || x >= readout_.nx || y < 0 || y >= readout_.ny) continue;
            const G4ThreeVector middle(readout_.left() + (x + 0.5) * readout_.pitch,
                                       readout_.below() + (y + 0.5) * readout_.pitch,
                                       readout_.front + readout_.sensor.at(std::size_t(layer)));
            maker_.make(G4FastHit(middle, hit.energy * MeV), track);
        }
    }

    Model model_;
    caloforge::mosaic::Scratch scratch_;
    MosaicReadout readout_;
    MosaicRange range_;
    std::uint64_t seed_;
    G4FastSimHitMaker maker_;
    G4bool fresh_ = true;
    G4int event_ = -1;
    std::uint64_t photon_ = 0;
    std::vector<caloforge::mosaic::Hit> hits_;
    std::vector<std::int16_t> codes_;
};
