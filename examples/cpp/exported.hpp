// An exported model (caloforge export MODEL --target onnx): its graphs, one after the other.
#pragma once

#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include "onnxruntime.hpp"

namespace caloforge::onnx {

/// Numbers of any type, and their shape.
struct Tensor {
    ONNXTensorElementDataType type;
    std::vector<std::int64_t> shape;
    std::vector<char> bytes;

    template <typename T>
    static Tensor of(ONNXTensorElementDataType type, std::vector<std::int64_t> shape, const std::vector<T>& values) {
        Tensor made{type, std::move(shape), std::vector<char>(values.size() * sizeof(T))};
        std::memcpy(made.bytes.data(), values.data(), made.bytes.size());
        return made;
    }
    template <typename T>
    const T* data() const { return reinterpret_cast<const T*>(bytes.data()); }
};

using Tensors = std::map<std::string, Tensor>;

/// An input of random numbers: `normal` (float) or `uniform` in (0, 1) (double); `rows` a shower, of `width` numbers.
struct Noise {
    std::string name, kind, rows;
    std::int64_t width;
};

/// Makes numbers for an input: as many rows as asked for.
using Draw = std::function<Tensor(const Noise&, std::int64_t rows)>;

/// What `model.txt` tells.
struct Description {
    int parts = 0;
    std::int64_t particle = 22;
    std::vector<std::string> outputs;
    std::map<std::string, Noise> noise;

    static Description read(const std::string& path) {
        std::ifstream file(path);
        if (!file) throw std::runtime_error("cannot read " + path);
        Description found;
        for (std::string line; std::getline(file, line);) found.take(line);
        return found;
    }

  private:
    void take(const std::string& line) {
        std::istringstream words(line);
        std::string key, word;
        words >> key;
        if (key == "parts") words >> parts;
        if (key == "particle") words >> particle;
        if (key == "output" && words >> word) outputs.push_back(word);
        if (key != "noise") return;
        Noise one;
        words >> one.name >> one.kind >> one.rows >> one.width;
        noise[one.name] = one;
    }
};

/// One graph.
class Part {
  public:
    Part(const OrtApi& api, const OrtEnv* env, const std::string& path) : api_(api) {
        OrtSessionOptions* options = nullptr;
        check(api_.CreateSessionOptions(&options));
        check(api_.SetIntraOpNumThreads(options, 1));
        OrtSession* session = nullptr;
        OrtStatus* status = api_.CreateSession(env, path.c_str(), options, &session);
        api_.ReleaseSessionOptions(options);
        check(status);
        session_.reset(session, api_.ReleaseSession);
        inputs = names(api_.SessionGetInputCount, api_.SessionGetInputName);
        outputs = names(api_.SessionGetOutputCount, api_.SessionGetOutputName);
    }

    /// Put the graph's outputs beside what is known.
    void run(Tensors& known) const {
        std::vector<std::shared_ptr<OrtValue>> held;
        std::vector<const OrtValue*> given;
        std::vector<const char*> in, out;
        for (const std::string& name : inputs) {
            held.push_back(wrap(known.at(name)));
            given.push_back(held.back().get());
            in.push_back(name.c_str());
        }
        for (const std::string& name : outputs) out.push_back(name.c_str());
        std::vector<OrtValue*> made(outputs.size(), nullptr);
        check(api_.Run(session_.get(), nullptr, in.data(), given.data(), given.size(), out.data(), out.size(),
                       made.data()));
        for (std::size_t i = 0; i < made.size(); ++i) {
            known[outputs[i]] = copy(made[i]);
            api_.ReleaseValue(made[i]);
        }
    }

    std::vector<std::string> inputs, outputs;

  private:
    void check(OrtStatus* status) const {
        if (!status) return;
        const std::string message = api_.GetErrorMessage(status);
        api_.ReleaseStatus(status);
        throw std::runtime_error(message);
    }

    template <typename Count, typename Name>
    std::vector<std::string> names(Count count, Name name) const {
        OrtAllocator* allocator = nullptr;
        check(api_.GetAllocatorWithDefaultOptions(&allocator));
        std::size_t size = 0;
        check(count(session_.get(), &size));
        std::vector<std::string> found;
        for (std::size_t i = 0; i < size; ++i) {
            char* text = nullptr;
            check(name(session_.get(), i, allocator, &text));
            found.emplace_back(text);
            check(api_.AllocatorFree(allocator, text));
        }
        return found;
    }

    std::shared_ptr<OrtValue> wrap(Tensor& tensor) const {
        OrtMemoryInfo* memory = nullptr;
        check(api_.CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &memory));
        OrtValue* value = nullptr;
        OrtStatus* status =
            api_.CreateTensorWithDataAsOrtValue(memory, tensor.bytes.data(), tensor.bytes.size(), tensor.shape.data(),
                                                tensor.shape.size(), tensor.type, &value);
        api_.ReleaseMemoryInfo(memory);
        check(status);
        return {value, api_.ReleaseValue};
    }

    Tensor copy(OrtValue* value) const {
        OrtTensorTypeAndShapeInfo* info = nullptr;
        check(api_.GetTensorTypeAndShape(value, &info));
        const std::shared_ptr<OrtTensorTypeAndShapeInfo> held(info, api_.ReleaseTensorTypeAndShapeInfo);
        Tensor made{};
        std::size_t rank = 0;
        check(api_.GetTensorElementType(info, &made.type));
        check(api_.GetDimensionsCount(info, &rank));
        made.shape.resize(rank);
        check(api_.GetDimensions(info, made.shape.data(), rank));
        void* data = nullptr;
        check(api_.GetTensorMutableData(value, &data));
        std::size_t size = width(made.type);
        for (const std::int64_t n : made.shape) size *= std::size_t(n);
        made.bytes.assign(static_cast<char*>(data), static_cast<char*>(data) + size);
        return made;
    }

    static std::size_t width(ONNXTensorElementDataType type) {
        switch (type) {
            case ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL: return 1;
            case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT:
            case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32: return 4;
            case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64:
            case ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE: return 8;
            default: throw std::runtime_error("a tensor of a type that is not known here");
        }
    }

    const OrtApi& api_;
    std::shared_ptr<OrtSession> session_;
};

/// A model.
class Model {
  public:
    Model(const OrtApi& api, const std::string& folder) : description(Description::read(folder + "/model.txt")) {
        OrtEnv* env = nullptr;
        if (api.CreateEnv(ORT_LOGGING_LEVEL_WARNING, "caloforge", &env)) throw std::runtime_error("no environment");
        env_.reset(env, api.ReleaseEnv);
        for (int i = 1; i <= description.parts; ++i)
            parts_.emplace_back(api, env, folder + "/part" + std::to_string(i) + ".onnx");
    }

    /// `energy` [MeV] (double), `direction` (float, B x 2) and `pdg` of the particles in, their showers out.
    Tensors generate(Tensors known, const Draw& draw) const {
        const std::int64_t showers = known.at("energy").shape.at(0);
        for (const Part& part : parts_) {
            for (const std::string& name : part.inputs) {
                const auto noise = description.noise.find(name);
                if (noise == description.noise.end() || known.count(name)) continue;
                known[name] = draw(noise->second, rows(noise->second, known, showers));
            }
            part.run(known);
        }
        return known;
    }

    const Description description;

  private:
    static std::int64_t rows(const Noise& noise, const Tensors& known, std::int64_t showers) {
        if (noise.rows == "showers") return showers;
        const std::int64_t* counts = known.at(noise.rows).data<std::int64_t>();
        return std::accumulate(counts, counts + showers, std::int64_t(0));
    }

    std::shared_ptr<OrtEnv> env_;
    std::vector<Part> parts_;
};

}  // namespace caloforge::onnx
