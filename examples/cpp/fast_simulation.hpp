// A G4VFastSimulationModel that lets mosaic make the hits of a calorimeter.
//
// The envelope is a region whose volume has its depth along +z and its front face at z = front. Sensitive detectors are
// those of the full simulation, and derive from G4VFastSimSensitiveDetector, too. Give one model to every thread:
//
//     auto* region = G4RegionStore::GetInstance()->GetRegion("calorimeter");
//     new caloforge::FastSimulation("mosaic", region, "engine", domain, seed);
//
// where "engine" is a folder of `caloforge export mosaic:TAG --target cpp`, and G4FastSimulationPhysics is in the
// physics list. Outside of the trained energies, for other particles, at other angles and near the edge, Geant4 goes on.
#pragma once

#include <cmath>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <stdexcept>
#include <vector>

#include <caloforge/mosaic.hpp>

#if __has_include(<G4VFastSimulationModel.hh>)
#include <G4AffineTransform.hh>
#include <G4FastHit.hh>
#include <G4FastSimHitMaker.hh>
#include <G4FastStep.hh>
#include <G4FastTrack.hh>
#include <G4ParticleDefinition.hh>
#include <G4Region.hh>
#include <G4Track.hh>
#include <G4VFastSimulationModel.hh>
#define CALOFORGE_GEANT4 1
#else
#include "geant4_standin/geant4.hh"
#define CALOFORGE_GEANT4 0
#endif

namespace caloforge {

/// Where a shower may be made instead of being simulated.
struct Domain {
    std::set<int> particles;      ///< codes
    double lowest, highest;       ///< energies [MeV]
    double steepest;              ///< largest angle from the perpendicular [rad]
    double front, half_width;     ///< of the envelope [mm], in its own coordinates
    double margin = 50;           ///< nearer to the edge [mm] showers would leave the envelope
};

class FastSimulation : public G4VFastSimulationModel {
  public:
    FastSimulation(const G4String& name, G4Envelope* envelope, const std::string& folder, Domain domain,
                   std::uint64_t seed)
        : G4VFastSimulationModel(name, envelope),
          domain_(std::move(domain)),
          seed_(seed),
          model_(mosaic::load(folder + "/model.mosaic")),
          scratch_(model_),
          places_(read_places(folder + "/cells.txt")),
          maker_(new G4FastSimHitMaker) {}

    G4bool IsApplicable(const G4ParticleDefinition& particle) override {
        return domain_.particles.count(particle.GetPDGEncoding()) > 0;
    }

    G4bool ModelTrigger(const G4FastTrack& track) override {
        const double energy = track.GetPrimaryTrack()->GetKineticEnergy() / CLHEP::MeV;
        const G4ThreeVector place = track.GetPrimaryTrackLocalPosition();
        const double limit = domain_.half_width - domain_.margin;
        return energy >= domain_.lowest && energy <= domain_.highest &&
               track.GetPrimaryTrackLocalDirection().z() >= std::cos(domain_.steepest) &&
               std::fabs(place.z() - domain_.front) < kFace && std::fabs(place.x()) < limit &&
               std::fabs(place.y()) < limit;
    }

    void DoIt(const G4FastTrack& track, G4FastStep& step) override {
        const float energy = float(track.GetPrimaryTrack()->GetKineticEnergy() / CLHEP::MeV);
        std::vector<std::int16_t> codes(std::size_t(model_.conditions()), 0);
        codes.at(0) = mosaic::energy_code(energy);
        hits_.clear();
        scratch_.generate({mosaic::shower_key(seed_, number_++), energy, codes.data()}, hits_);
        const G4ThreeVector entry = track.GetPrimaryTrackLocalPosition();
        for (const mosaic::Hit& hit : hits_) {
            const G4ThreeVector& cell = places_.at(std::size_t(hit.cell));
            const G4ThreeVector place(entry.x() + cell.x(), entry.y() + cell.y(), domain_.front + cell.z());
            maker_->make(G4FastHit(track.GetInverseAffineTransformation()->TransformPoint(place), hit.energy), track);
        }
        step.KillPrimaryTrack();
        step.ProposePrimaryTrackPathLength(0.0);
        step.ProposeTotalEnergyDeposited(energy);  // all of it stays here: the absorbers keep what is not seen
    }

    const G4FastSimHitMaker& maker() const { return *maker_; }

  private:
    static constexpr double kFace = 0.1;  // mm: particles that are born or scattered inside go on in Geant4

    static std::vector<G4ThreeVector> read_places(const std::string& path) {
        std::ifstream file(path);
        if (!file) throw std::runtime_error("cannot read " + path);
        std::vector<G4ThreeVector> places;
        for (std::string line; std::getline(file, line);) {
            std::istringstream words(line);
            double layer, x, y, z;
            if (words >> layer >> x >> y >> z) places.emplace_back(x, y, z);
        }
        return places;
    }

    Domain domain_;
    std::uint64_t seed_, number_ = 0;
    mosaic::Model model_;
    mosaic::Scratch scratch_;
    std::vector<G4ThreeVector> places_;
    std::unique_ptr<G4FastSimHitMaker> maker_;
    std::vector<mosaic::Hit> hits_;
};

}  // namespace caloforge
