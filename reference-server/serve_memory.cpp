#include "serving.hpp"

#include <roundhouse/backend/memory.hpp>

namespace roundhouse::server {

int serve_memory(const server_context& context) {
    return serve_over(context,
                      [](const std::string&) { return std::make_shared<memory_backend>(); });
}

} // namespace roundhouse::server
