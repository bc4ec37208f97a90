#pragma once

#include <roundhouse/version.hpp>

#include <openssl/crypto.h>

#include <cstddef>
#include <limits>
#include <new>
#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace crypto {

/// Allocates memory for secrets, and wipes it when it is given back. After OpenSSL's
/// `CRYPTO_secure_malloc_init` it is memory that is never written to swap or a core dump, while
/// there is any; else it is ordinary memory.
template <class T> struct secret_allocator {
    using value_type = T;

    secret_allocator() = default;
    template <class Other> secret_allocator(const secret_allocator<Other>& /*other*/) noexcept {}

    [[nodiscard]] T* allocate(std::size_t count) {
        if (count > std::numeric_limits<std::size_t>::max() / sizeof(T))
            throw std::bad_array_new_length();
        const auto size = count * sizeof(T);
        void* memory = OPENSSL_secure_malloc(size);
        if (memory == nullptr) memory = OPENSSL_malloc(size); // the locked memory is used up
        if (memory == nullptr) throw std::bad_alloc();
        return static_cast<T*>(memory);
    }
    void deallocate(T* memory, std::size_t count) noexcept {
        OPENSSL_secure_clear_free(memory, count * sizeof(T)); // frees ordinary memory too
    }

    template <class Other>
    friend bool operator==(const secret_allocator& /*a*/,
                           const secret_allocator<Other>& /*b*/) noexcept {
        return true;
    }
};

/// A text that is secret. A short one is kept in the object itself, and is not wiped.
using secret_text = std::basic_string<char, std::char_traits<char>, secret_allocator<char>>;

} // namespace crypto
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
