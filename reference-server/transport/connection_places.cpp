#include "connection_places.hpp"

namespace roundhouse::server {

connection_places::answer connection_places::take(const std::optional<client_address>& client) {
    const std::lock_guard lock(mutex_);
    if (client) {
        const auto known = by_client_.find(*client);
        const auto before = known == by_client_.end() ? 0 : known->second;
        if (before >= max_per_client_) return answer::all_of_client_taken;
        if (taken_ >= max_connections_) return answer::all_taken;
        count(*client, before, before + 1);
    } else if (taken_ >= max_connections_) {
        return answer::all_taken;
    }
    ++taken_;
    return answer::taken;
}

std::size_t connection_places::give_back(const std::optional<client_address>& client) noexcept {
    const std::lock_guard lock(mutex_);
    if (client) {
        const auto before = by_client_.at(*client);
        count(*client, before, before - 1);
    }
    return --taken_;
}

std::vector<client_address> connection_places::fullest(std::size_t most) const {
    std::vector<client_address> out;
    const std::lock_guard lock(mutex_);
    for (auto next = by_count_.rbegin(); next != by_count_.rend() && out.size() < most; ++next)
        out.push_back(next->second);
    return out;
}

std::size_t connection_places::taken() const {
    const std::lock_guard lock(mutex_);
    return taken_;
}

/// Moves the nodes of a client that is known, so that giving back a place allocates nothing.
void connection_places::count(const client_address& client, std::size_t before, std::size_t after) {
    if (before == 0) {
        const auto added = by_count_.emplace(after, client).first;
        try {
            by_client_.emplace(client, after);
        } catch (...) {
            by_count_.erase(added);
            throw;
        }
        return;
    }
    auto node = by_count_.extract({before, client});
    if (after == 0) {
        by_client_.erase(client);
        return;
    }
    node.value().first = after;
    by_count_.insert(std::move(node));
    by_client_.find(client)->second = after;
}

} // namespace roundhouse::server
