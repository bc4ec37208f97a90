#include "serving.hpp"

#include <roundhouse/backend/memory.hpp>

namespace roundhouse::server {

int serve_memory(const surroundings& around) {
    return serve_over(around,
                      [](const std::string&) { return std::make_shared<memory_backend>(); });
}

} // namespace roundhouse::server
