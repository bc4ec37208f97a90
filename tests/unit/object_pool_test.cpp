#include "../catch.hpp"

#include <roundhouse/detail/object_pool.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <set>
#include <vector>

using roundhouse::detail::object_pool;

TEST_CASE("objects of a pool do not overlap, and are aligned") {
    object_pool pool;
    struct object {
        unsigned char* place;
        std::size_t size;
    };
    std::vector<object> made;
    for (std::size_t i = 0; i < 20'000; ++i) {
        const auto size = 1 + i * 7 % (object_pool::max_size + 50);
        made.push_back({static_cast<unsigned char*>(pool.allocate(size)), size});
        std::memset(made.back().place, static_cast<int>(i % 251), size);
    }
    bool intact = true;
    for (std::size_t i = 0; i < made.size(); ++i) {
        const auto& [place, size] = made[i];
        intact = intact && reinterpret_cast<std::uintptr_t>(place) % object_pool::unit == 0;
        for (std::size_t at = 0; at < size; ++at) intact = intact && place[at] == i % 251;
    }
    CHECK(intact);
    for (const auto& [place, size] : made) pool.free(place, size);
}

TEST_CASE("memory that a pool has taken back is used for objects of the same size only") {
    object_pool pool;
    std::set<void*> freed;
    for (int i = 0; i < 10; ++i) freed.insert(pool.allocate(150));
    for (void* const place : freed) pool.free(place, 150);
    CHECK_FALSE(freed.contains(pool.allocate(100)));
    for (int i = 0; i < 10; ++i) CHECK(freed.erase(pool.allocate(150)) == 1);
    CHECK(freed.empty());
}
