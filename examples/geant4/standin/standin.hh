// A stand-in for Geant4's headers: just what MosaicFastSimulation.hh asks of them, so that it is compiled and run where
// Geant4's C++ headers are absent. It simulates nothing. Names and signatures are those of Geant4 11.
#pragma once

#include <cmath>
#include <string>
#include <vector>

using G4bool = bool;
using G4int = int;
using G4double = double;
using G4String = std::string;

constexpr G4double mm = 1.0, MeV = 1.0, GeV = 1000.0, rad = 1.0;

class G4ThreeVector {
public:
    G4ThreeVector(G4double x = 0, G4double y = 0, G4double z = 0) : x_(x), y_(y), z_(z) {}
    G4double x() const { return x_; }
    G4double y() const { return y_; }
    G4double z() const { return z_; }

private:
    G4double x_, y_, z_;
};

class G4ParticleDefinition {};

class G4Gamma : public G4ParticleDefinition {
public:
    static G4ParticleDefinition* Definition() {
        static G4Gamma gamma;
        return &gamma;
    }
};

class G4Electron : public G4ParticleDefinition {
public:
    static G4ParticleDefinition* Definition() {
        static G4Electron electron;
        return &electron;
    }
};

class G4Track {
public:
    explicit G4Track(G4double energy) : energy_(energy) {}
    G4double GetKineticEnergy() const { return energy_; }

private:
    G4double energy_;
};

class G4Region {};
using G4Envelope = G4Region;

/// The envelope's coordinates are those of the world here.
class G4FastTrack {
public:
    G4FastTrack(const G4Track* track, G4ThreeVector position, G4ThreeVector direction)
        : track_(track), position_(position), direction_(direction) {}
    const G4Track* GetPrimaryTrack() const { return track_; }
    G4ThreeVector GetPrimaryTrackLocalPosition() const { return position_; }
    G4ThreeVector GetPrimaryTrackLocalDirection() const { return direction_; }

private:
    const G4Track* track_;
    G4ThreeVector position_, direction_;
};

class G4FastStep {
public:
    void KillPrimaryTrack() { killed = true; }
    void ProposePrimaryTrackPathLength(G4double length) { path = length; }
    void ProposeTotalEnergyDeposited(G4double energy) { deposit = energy; }

    G4bool killed = false;
    G4double path = -1, deposit = -1;
};

class G4FastHit {
public:
    G4FastHit(const G4ThreeVector& position, G4double energy, G4bool = false) : position_(position), energy_(energy) {}
    G4ThreeVector GetPosition() const { return position_; }
    G4double GetEnergy() const { return energy_; }

private:
    G4ThreeVector position_;
    G4double energy_;
};

/// Collects the hits; Geant4's looks for the sensitive detector in their place.
class G4FastSimHitMaker {
public:
    void make(const G4FastHit& hit, const G4FastTrack& track) {
        // as Geant4's: the first one is located at the track
        made().push_back(first_ ? G4FastHit(track.GetPrimaryTrackLocalPosition(), hit.GetEnergy()) : hit);
        first_ = false;
    }
    static std::vector<G4FastHit>& made() {
        static std::vector<G4FastHit> hits;
        return hits;
    }

private:
    G4bool first_ = true;
};

class G4VFastSimulationModel {
public:
    G4VFastSimulationModel(const G4String&, G4Envelope*, G4bool = false) {}
    virtual ~G4VFastSimulationModel() = default;
    virtual G4bool IsApplicable(const G4ParticleDefinition&) = 0;
    virtual G4bool ModelTrigger(const G4FastTrack&) = 0;
    virtual void DoIt(const G4FastTrack&, G4FastStep&) = 0;
};

class G4Event {
public:
    G4int GetEventID() const { return number; }
    G4int number = 0;
};

class G4EventManager {
public:
    static G4EventManager* GetEventManager() {
        static G4EventManager manager;
        return &manager;
    }
    const G4Event* GetConstCurrentEvent() { return &event; }
    G4Event event;
};
