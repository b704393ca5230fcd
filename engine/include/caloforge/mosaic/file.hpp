// Models in files. See caloforge/mosaic.hpp.
//
// All numbers are little-endian. A file is
//     8 bytes   "CFMOSAIC"
//     uint32    version, 2
//     uint32    how many arrays there are
// then 64 bytes for every array
//     32 bytes  its name in ASCII, filled up with zeros: that of a field of Program, Tables or Roots after "program.",
//               "tables." or "roots."; numbers are arrays of one element
//      4 bytes  its type in ASCII, filled up with zeros: u1, u2, i2, i4, i8 or f4
//     uint32    dimensions, 1 or 2
//     uint64    two lengths, the second 1 for one dimension
//     uint64    where its elements begin in the file, a multiple of 8
// and the elements of the arrays, row after row.
#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "model.hpp"

namespace caloforge::mosaic {

/// A file in memory, and the views of what is in it.
class File {
public:
    /// @throws Error the file cannot be read, is no model, of another version, or broken.
    explicit File(const std::string& path) : path_(path) {
        const std::uint16_t one = 1;
        if (*reinterpret_cast<const unsigned char*>(&one) != 1) throw Error("This machine is not little-endian.");
        read();
        if (size_ < 16 || std::memcmp(bytes(), "CFMOSAIC", 8) != 0) fail("is not a model of mosaic");
        if (number<std::uint32_t>(8) != 2) fail("has version " + std::to_string(number<std::uint32_t>(8)) + ", not 2");
        arrays_ = number<std::uint32_t>(12);
        if (arrays_ > (size_ - 16) / ENTRY) fail("is cut off");
    }

    Program program() const {
        Program p;
        p.nodes = scalar<std::int32_t>("program.nodes");
        p.conditions = scalar<std::int32_t>("program.conditions");
        p.threshold = scalar<float>("program.threshold");
        get("program.kind", p.kind), get("program.parent", p.parent), get("program.exact", p.exact);
        get("program.few", p.few), get("program.many", p.many);
        get("program.child", p.child), get("program.child_start", p.child_start);
        get("program.context", p.context), get("program.context_start", p.context_start);
        get("program.capacity", p.capacity), get("program.root", p.root), get("program.cell", p.cell);
        return p;
    }

    Tables tables() const {
        Tables t;
        get("tables.roots", t.roots), get("tables.feature", t.feature), get("tables.limit", t.limit);
        get("tables.kid", t.kid), get("tables.start", t.start), get("tables.count", t.count);
        get("tables.weights_start", t.weights_start), get("tables.weights", t.weights);
        get("tables.bias", t.bias), get("tables.hit_weight", t.hit_weight);
        get("tables.split_hits", t.split_hits), get("tables.split_angle", t.split_angle);
        get("tables.split_ratio", t.split_ratio), get("tables.pattern", t.pattern);
        get("tables.share_start", t.share_start), get("tables.share", t.share);
        get("tables.pull_start", t.pull_start), get("tables.pull_place", t.pull_place);
        get("tables.pull_child", t.pull_child), get("tables.pull", t.pull);
        get("tables.sine", t.sine), get("tables.exponential", t.exponential);
        return t;
    }

    Roots roots() const {
        Roots r;
        get("roots.energy", r.energy), get("roots.codes", r.codes), get("roots.hits", r.hits);
        get("roots.excess", r.excess), get("roots.turn", r.turn), get("roots.scale", r.scale);
        get("roots.hit_power", r.hit_power), get("roots.energy_power", r.energy_power);
        r.window = scalar<std::int32_t>("roots.window");
        r.nearest = scalar<std::int32_t>("roots.nearest");
        return r;
    }

private:
    static constexpr std::size_t ENTRY = 64;

    [[noreturn]] void fail(const std::string& what) const { throw Error(path_ + " " + what + "."); }

    void read() {
        std::ifstream file(path_, std::ios::binary | std::ios::ate);
        const std::streamoff size = file ? std::streamoff(file.tellg()) : -1;
        if (size < 0) fail("cannot be read");
        size_ = std::size_t(size);
        data_.resize(size_ / 8 + 1);
        file.seekg(0);
        if (!file.read(reinterpret_cast<char*>(data_.data()), size)) fail("cannot be read");
    }

    const char* bytes() const { return reinterpret_cast<const char*>(data_.data()); }

    template <class T>
    T number(std::size_t at) const {
        T value;
        std::memcpy(&value, bytes() + at, sizeof value);
        return value;
    }

    static const char* type(const std::uint8_t*) { return "u1"; }
    static const char* type(const std::uint16_t*) { return "u2"; }
    static const char* type(const std::int16_t*) { return "i2"; }
    static const char* type(const std::int32_t*) { return "i4"; }
    static const char* type(const std::int64_t*) { return "i8"; }
    static const char* type(const float*) { return "f4"; }

    /// Where the entry of an array begins.
    std::size_t entry(const char* name) const {
        for (std::size_t i = 0; i < arrays_; ++i)
            if (std::strncmp(bytes() + 16 + i * ENTRY, name, 32) == 0) return 16 + i * ENTRY;
        fail(std::string("has no ") + name);
    }

    template <class T>
    void get(const char* name, Span<T>& into) const {
        const std::size_t at = entry(name);
        if (std::strncmp(bytes() + at + 32, type(static_cast<const T*>(nullptr)), 4) != 0)
            fail(std::string("has ") + name + " of another type");
        const auto rows = number<std::uint64_t>(at + 40), columns = number<std::uint64_t>(at + 48);
        const auto offset = number<std::uint64_t>(at + 56);
        const std::uint64_t room = offset <= size_ ? (size_ - offset) / sizeof(T) : 0;
        if (offset % 8 || offset > size_ || (columns && rows > room / columns))
            fail(std::string("is cut off: ") + name + " leads beyond its end");
        into = {reinterpret_cast<const T*>(bytes() + offset), std::size_t(rows * columns)};
    }

    template <class T>
    T scalar(const char* name) const {
        Span<T> values;
        get(name, values);
        if (values.size != 1) fail(std::string("has ") + name + " that is not one number");
        return values[0];
    }

    std::string path_;
    std::size_t size_ = 0, arrays_ = 0;
    std::vector<std::uint64_t> data_;
};

/// The model in a file.
/// @throws Error the file cannot be read, or the model is broken.
inline Model load(const std::string& path) {
    const File file(path);
    return Model(file.program(), file.tables(), file.roots());
}

}  // namespace caloforge::mosaic
