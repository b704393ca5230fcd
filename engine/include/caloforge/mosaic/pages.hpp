// Memory in large pages, where the system has them: walks go all over it. See caloforge/mosaic.hpp.
#pragma once

#include <cstddef>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace caloforge::mosaic {

/// Allocates for a `std::vector`; a wish, no more, so that it works anywhere.
template <class T>
struct LargePages {
    using value_type = T;

    LargePages() = default;
    template <class U>
    LargePages(const LargePages<U>&) {}

    T* allocate(std::size_t count) {
        if (count > std::size_t(-1) / sizeof(T)) throw std::bad_alloc();
        const std::size_t bytes = count * sizeof(T);
        void* memory = ::operator new(bytes, alignment(bytes));
#if defined(__linux__) && defined(MADV_HUGEPAGE)
        if (bytes >= PAGE) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
        return static_cast<T*>(memory);
    }

    void deallocate(T* memory, std::size_t count) { ::operator delete(memory, alignment(count * sizeof(T))); }

    template <class U>
    bool operator==(const LargePages<U>&) const { return true; }
    template <class U>
    bool operator!=(const LargePages<U>&) const { return false; }

private:
    static constexpr std::size_t PAGE = std::size_t(1) << 21, LINE = 64;

    static std::align_val_t alignment(std::size_t bytes) { return std::align_val_t(bytes >= PAGE ? PAGE : LINE); }
};

}  // namespace caloforge::mosaic
