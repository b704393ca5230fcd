// Showers of an exported model in C++:  onnx_showers LIBRARY FOLDER GEV THETA PHI COUNT [NOISE]
//
// LIBRARY is ONNX Runtime's, FOLDER what `caloforge export MODEL --target onnx` wrote, angles are in degrees. NOISE is a
// folder of random numbers that the export's run.py kept (--keep-noise): then the showers are those of Python.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "exported.hpp"

namespace onnx = caloforge::onnx;

namespace {

constexpr double kGeV = 1000.0;
constexpr double kDegree = 3.14159265358979323846 / 180.0;

template <typename T>
onnx::Tensor random_rows(ONNXTensorElementDataType type, std::int64_t rows, std::int64_t width,
                         const std::function<T()>& next) {
    std::vector<T> values(std::size_t(rows * width));
    for (T& value : values) value = next();
    return onnx::Tensor::of(type, {rows, width}, values);
}

/// Numbers of one generator.
onnx::Draw random_numbers(std::uint64_t seed) {
    auto rng = std::make_shared<std::mt19937_64>(seed);
    return [rng](const onnx::Noise& noise, std::int64_t rows) {
        if (noise.kind == "normal") {
            std::normal_distribution<float> normal;
            return random_rows<float>(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, rows, noise.width,
                                      [&] { return normal(*rng); });
        }
        return random_rows<double>(ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, rows, noise.width,
                                   [&] { return (double((*rng)() >> 12) + 0.5) * 0x1p-52; });
    };
}

/// Numbers that were kept.
onnx::Draw kept_numbers(const std::string& folder) {
    return [folder](const onnx::Noise& noise, std::int64_t rows) {
        const bool normal = noise.kind == "normal";
        const std::size_t size = std::size_t(rows * noise.width) * (normal ? sizeof(float) : sizeof(double));
        onnx::Tensor made{normal ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT : ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE,
                          {rows, noise.width},
                          std::vector<char>(size)};
        std::ifstream file(folder + "/" + noise.name + ".bin", std::ios::binary);
        if (!file.read(made.bytes.data(), std::streamsize(size)))
            throw std::runtime_error("too few random numbers in " + folder + "/" + noise.name + ".bin");
        return made;
    };
}

onnx::Tensors particles(double energy, double theta, double phi, std::int64_t count, std::int64_t code) {
    const std::size_t size = static_cast<std::size_t>(count);
    const std::vector<double> energies(size, energy * kGeV);
    const float x = float(std::sin(theta) * std::cos(phi)), y = float(std::sin(theta) * std::sin(phi));
    std::vector<float> direction;
    for (std::size_t i = 0; i < size; ++i) direction.insert(direction.end(), {x, y});
    return {{"energy", onnx::Tensor::of(ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, {count}, energies)},
            {"direction", onnx::Tensor::of(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, {count, 2}, direction)},
            {"pdg", onnx::Tensor::of(ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, {count},
                                     std::vector<std::int64_t>(size, code))}};
}

/// The energy of a hit, whatever the model makes.
float energy_of(const onnx::Tensors& made, std::int64_t hit) {
    const auto points = made.find("points");
    return points == made.end() ? made.at("hit_energy").data<float>()[hit] : points->second.data<float>()[4 * hit + 3];
}

void tell_hit(const onnx::Tensors& made, std::int64_t hit) {
    if (made.count("cell")) {
        std::printf("cell %lld %.6g\n", static_cast<long long>(made.at("cell").data<std::int64_t>()[hit]),
                    double(energy_of(made, hit)));
        return;
    }
    const float* row = made.at("points").data<float>() + 4 * hit;
    std::printf("point %.6g %.6g %.6g %.6g\n", double(row[0]), double(row[1]), double(row[2]), double(row[3]));
}

void tell(const onnx::Tensors& made) {
    const onnx::Tensor& counts = made.at("counts");
    std::int64_t start = 0;
    for (std::int64_t i = 0; i < counts.shape[0]; ++i) {
        const std::int64_t hits = counts.data<std::int64_t>()[i];
        double sum = 0;
        for (std::int64_t hit = start; hit < start + hits; ++hit) sum += double(energy_of(made, hit));
        std::printf("shower %lld hits %lld energy %.6g MeV\n", static_cast<long long>(i),
                    static_cast<long long>(hits), sum);
        start += hits;
    }
    for (std::int64_t hit = 0; hit < counts.data<std::int64_t>()[0]; ++hit) tell_hit(made, hit);
}

int run(int argc, char** argv) {
    const onnx::Model model(onnx::load_api(argv[1]), argv[2]);
    const double theta = std::atof(argv[4]) * kDegree, phi = std::atof(argv[5]) * kDegree;
    const onnx::Draw draw = argc > 7 ? kept_numbers(argv[7]) : random_numbers(1);
    tell(model.generate(
        particles(std::atof(argv[3]), theta, phi, std::atoll(argv[6]), model.description.particle), draw));
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 7) {
        std::fprintf(stderr, "onnx_showers LIBRARY FOLDER GEV THETA PHI COUNT [NOISE]\n");
        return 2;
    }
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
