#pragma once

#include <roundhouse/version.hpp>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail {

/// A Unix socket that has a name.
struct named_socket {
    std::string_view name; ///< One of the abstract namespace begins with a NUL.
    int type = 0;          ///< SOCK_STREAM and so on.
    uid_t uid = 0;         ///< Of the process that made it.
};

/// Asks the kernel about sockets in this network namespace (sock_diag(7)). Makes a few system calls
/// for each question; the kernel answers at once.
class sock_diag {
public:
    sock_diag() noexcept
        : kernel_{::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG)} {
        if (kernel_ < 0) return;
        const timeval second{.tv_sec = 1, .tv_usec = 0}; // for a kernel that does not answer
        ::setsockopt(kernel_, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    }
    sock_diag(const sock_diag&) = delete;
    sock_diag& operator=(const sock_diag&) = delete;
    ~sock_diag() {
        if (kernel_ >= 0) ::close(kernel_);
    }

    /// Calls `seen(const inet_diag_msg&)` with the one socket that `request` names. Returns 0 or an
    /// errno value: ENOENT if there is none.
    template <class Seen> [[nodiscard]] int find(const inet_diag_req_v2& request, Seen seen) const {
        struct {
            nlmsghdr head;
            inet_diag_req_v2 body;
        } question{};
        question.head = head_of(sizeof question, 0);
        question.body = request;
        if (::send(kernel_, &question, sizeof question, 0) < 0) return errno;
        const auto outcome = receive<inet_diag_msg>(without_attributes(seen));
        return outcome == more ? 0 : outcome;
    }

    /// Calls `seen(const inet_diag_msg&)` with each TCP socket of the family in one of the states (bits
    /// `1 << TCP_LISTEN` and so on) whose own port is in the range. Returns 0 or an errno value.
    template <class Seen>
    [[nodiscard]] int list(int family, std::uint32_t states, std::uint16_t low, std::uint16_t high,
                           Seen seen) const {
        struct {
            nlmsghdr head;
            inet_diag_req_v2 body;
            nlattr filter_head;
            std::array<inet_diag_bc_op, 4> filter;
        } question{};
        question.head = head_of(sizeof question, NLM_F_DUMP);
        question.body.sdiag_family = static_cast<std::uint8_t>(family);
        question.body.sdiag_protocol = IPPROTO_TCP;
        question.body.idiag_states = states;
        // A comparison takes two places, the second of which has the port. `yes` and `no` say how
        // many bytes to go on by; beyond the end the socket is left out.
        constexpr std::uint8_t next = 2 * sizeof(inet_diag_bc_op);
        constexpr std::uint16_t out = sizeof(inet_diag_bc_op);
        question.filter = {{{.code = INET_DIAG_BC_S_GE, .yes = next, .no = 2 * next + out},
                            {.code = 0, .yes = 0, .no = low},
                            {.code = INET_DIAG_BC_S_LE, .yes = next, .no = next + out},
                            {.code = 0, .yes = 0, .no = high}}};
        question.filter_head.nla_type = INET_DIAG_REQ_BYTECODE;
        question.filter_head.nla_len = sizeof question.filter_head + sizeof question.filter;
        if (::send(kernel_, &question, sizeof question, 0) < 0) return errno;
        return receive_all<inet_diag_msg>(without_attributes(seen));
    }

    /// Calls `seen(const named_socket&)` with each Unix socket that has a name, in any state. Returns 0
    /// or an errno value.
    template <class Seen> [[nodiscard]] int list_named(Seen seen) const {
        struct {
            nlmsghdr head;
            unix_diag_req body;
        } question{};
        question.head = head_of(sizeof question, NLM_F_DUMP);
        question.body.sdiag_family = AF_UNIX;
        question.body.udiag_states = ~0U;
        question.body.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_UID;
        if (::send(kernel_, &question, sizeof question, 0) < 0) return errno;
        return receive_all<unix_diag_msg>(
            [&seen](const unix_diag_msg& socket, std::string_view attributes) {
                const auto name = attribute(attributes, UNIX_DIAG_NAME);
                const auto user = attribute(attributes, UNIX_DIAG_UID);
                std::uint32_t uid = 0;
                if (!name || !user || user->size() != sizeof uid) return;
                std::memcpy(&uid, user->data(), sizeof uid);
                seen(named_socket{.name = *name, .type = socket.udiag_type, .uid = uid});
            });
    }

private:
    static constexpr int more = -1;

    /// The head of a question of this size.
    [[nodiscard]] static nlmsghdr head_of(std::uint32_t size, std::uint16_t flags) noexcept {
        nlmsghdr head{};
        head.nlmsg_len = size;
        head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
        head.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
        return head;
    }

    template <class Seen> [[nodiscard]] static auto without_attributes(Seen& seen) {
        return [&seen](const inet_diag_msg& socket, std::string_view) { seen(socket); };
    }

    /// The value of one of the attributes that follow a message. Empty if it is not there.
    [[nodiscard]] static std::optional<std::string_view> attribute(std::string_view attributes,
                                                                   int wanted) {
        nlattr head;
        while (attributes.size() >= sizeof head) {
            std::memcpy(&head, attributes.data(), sizeof head);
            if (head.nla_len < sizeof head || head.nla_len > attributes.size()) break;
            if (head.nla_type == wanted)
                return attributes.substr(NLA_HDRLEN, std::size_t{head.nla_len} - NLA_HDRLEN);
            attributes.remove_prefix(
                std::min<std::size_t>(NLA_ALIGN(head.nla_len), attributes.size()));
        }
        return std::nullopt;
    }

    /// Takes packets up to the end of a list. Returns 0 or an errno value.
    template <class Message, class Seen> [[nodiscard]] int receive_all(const Seen& seen) const {
        for (;;)
            if (const auto outcome = receive<Message>(seen); outcome != more) return outcome;
    }

    /// Takes one packet, and calls `seen(const Message&, attributes)` with each socket in it. Returns
    /// `more`, 0 at the end of a list, or an errno value.
    template <class Message, class Seen> [[nodiscard]] int receive(const Seen& seen) const {
        alignas(nlmsghdr) std::array<char, 32 * 1024> packet; // what the kernel fills at most
        const auto received = ::recv(kernel_, packet.data(), packet.size(), 0);
        if (received <= 0) return received < 0 ? errno : EPROTO;
        const auto size = static_cast<std::size_t>(received);
        for (std::size_t at = 0; at + sizeof(nlmsghdr) <= size;) {
            nlmsghdr head;
            std::memcpy(&head, packet.data() + at, sizeof head);
            if (head.nlmsg_len < sizeof head || head.nlmsg_len > size - at) return EPROTO;
            if (head.nlmsg_type == NLMSG_DONE) return 0;
            const char* const body = packet.data() + at + NLMSG_HDRLEN;
            const auto body_size = head.nlmsg_len - NLMSG_HDRLEN;
            if (head.nlmsg_type == NLMSG_ERROR) {
                nlmsgerr problem{.error = -EPROTO, .msg = {}};
                if (body_size >= sizeof problem) std::memcpy(&problem, body, sizeof problem);
                return -problem.error;
            }
            if (head.nlmsg_type != SOCK_DIAG_BY_FAMILY || body_size < sizeof(Message))
                return EPROTO;
            Message socket;
            std::memcpy(&socket, body, sizeof socket);
            seen(socket, std::string_view(body, body_size).substr(NLMSG_ALIGN(sizeof socket)));
            at += NLMSG_ALIGN(head.nlmsg_len);
        }
        return more;
    }

    int kernel_;
};

} // namespace detail

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
