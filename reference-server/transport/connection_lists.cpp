#include "connection_lists.hpp"

#include "connection.hpp"

#include <utility>

namespace roundhouse::server {

connection_lists::connection_lists(const listener_limits& limits) noexcept
    : limits_{limits.idle_timeout,      limits.head_timeout,   limits.body_timeout,
              limits.handler_timeout,   limits.reply_timeout,  limits.linger_timeout,
              limits.handshake_timeout, limits.handler_timeout} {}

void connection_lists::add(std::shared_ptr<connection> added, clock::time_point now) {
    auto& list = of(waiting_for::request);
    const auto at = list.insert(list.end(), std::move(added));
    (*at)->place = {at, waiting_for::request, now};
}

void connection_lists::move(connection& moved, waiting_for what, clock::time_point now) noexcept {
    auto& to = of(what);
    to.splice(to.end(), of(moved.place.what), moved.place.at);
    moved.place.what = what;
    moved.place.since = now;
}

void connection_lists::remove(connection& removed) noexcept {
    const auto place = removed.place;
    of(place.what).erase(place.at);
}

connection* connection_lists::expired(clock::time_point now) const noexcept {
    for (std::size_t i = 0; i < kinds; ++i) {
        if (lists_[i].empty()) continue;
        auto& longest = *lists_[i].front();
        if (now - longest.place.since >= limits_[i]) return &longest;
    }
    return nullptr;
}

connection* connection_lists::idlest_of(const client_address& client) const noexcept {
    for (const auto what : {waiting_for::request, waiting_for::head, waiting_for::handshake,
                            waiting_for::body, waiting_for::reader, waiting_for::more_to_follow})
        for (const auto& one : lists_[static_cast<std::size_t>(what)])
            if (one->client() == client) return one.get();
    return nullptr;
}

connection* connection_lists::any() const noexcept {
    for (const auto& list : lists_)
        if (!list.empty()) return list.front().get();
    return nullptr;
}

} // namespace roundhouse::server
