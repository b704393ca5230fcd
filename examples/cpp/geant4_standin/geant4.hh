// What of Geant4 fast_simulation.cpp uses, as declarations without a detector: it is compiled against these where
// Geant4's own headers are absent, and can then only be tried on a particle that is made by hand.
#pragma once

#include <cmath>
#include <string>
#include <vector>

using G4bool = bool;
using G4double = double;
using G4String = std::string;

namespace CLHEP {
constexpr double MeV = 1.0;
constexpr double GeV = 1000.0;
constexpr double mm = 1.0;
}  // namespace CLHEP

class G4ThreeVector {
  public:
    G4ThreeVector(double x = 0, double y = 0, double z = 0) : x_(x), y_(y), z_(z) {}
    double x() const { return x_; }
    double y() const { return y_; }
    double z() const { return z_; }

  private:
    double x_, y_, z_;
};

class G4AffineTransform {
  public:
    G4ThreeVector TransformPoint(const G4ThreeVector& point) const { return point; }
};

class G4ParticleDefinition {
  public:
    explicit G4ParticleDefinition(int code) : code_(code) {}
    int GetPDGEncoding() const { return code_; }

  private:
    int code_;
};

class G4Region {};
using G4Envelope = G4Region;

class G4Track {
  public:
    explicit G4Track(double energy) : energy_(energy) {}
    double GetKineticEnergy() const { return energy_; }

  private:
    double energy_;
};

class G4FastTrack {
  public:
    G4FastTrack(double energy, G4ThreeVector place, G4ThreeVector direction)
        : track_(energy), place_(place), direction_(direction) {}
    const G4Track* GetPrimaryTrack() const { return &track_; }
    G4ThreeVector GetPrimaryTrackLocalPosition() const { return place_; }
    G4ThreeVector GetPrimaryTrackLocalDirection() const { return direction_; }
    const G4AffineTransform* GetInverseAffineTransformation() const { return &identity_; }

  private:
    G4Track track_;
    G4ThreeVector place_, direction_;
    G4AffineTransform identity_;
};

class G4FastStep {
  public:
    void KillPrimaryTrack() { killed = true; }
    void ProposePrimaryTrackPathLength(double) {}
    void ProposeTotalEnergyDeposited(double energy) { deposited = energy; }

    bool killed = false;
    double deposited = 0;
};

class G4FastHit {
  public:
    G4FastHit(const G4ThreeVector& place, double energy) : place_(place), energy_(energy) {}
    G4ThreeVector GetPosition() const { return place_; }
    double GetEnergy() const { return energy_; }

  private:
    G4ThreeVector place_;
    double energy_;
};

/// In Geant4 it looks for the sensitive detector at the hit's place; here hits are kept.
class G4FastSimHitMaker {
  public:
    void make(const G4FastHit& hit, const G4FastTrack&) { hits.push_back(hit); }

    std::vector<G4FastHit> hits;
};

class G4VFastSimulationModel {
  public:
    G4VFastSimulationModel(const G4String&, G4Envelope*) {}
    virtual ~G4VFastSimulationModel() = default;
    virtual G4bool IsApplicable(const G4ParticleDefinition&) = 0;
    virtual G4bool ModelTrigger(const G4FastTrack&) = 0;
    virtual void DoIt(const G4FastTrack&, G4FastStep&) = 0;
};
