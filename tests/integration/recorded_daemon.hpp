#pragma once

#include "../scripted_http_server.hpp"
#include "../temporary_folder.hpp"

#include <roundhouse/detail/json_writer.hpp>

#include <asio/buffer.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/write.hpp>
#include <simdjson.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace roundhouse_tests {

/// A request to the daemon.
struct daemon_request {
    std::string method;
    std::string version; ///< Such as v1.41; empty if the path has none.
    std::string path;    ///< Without the version.
    std::string query;   ///< Percent-encoded.
    std::string head;    ///< All before the body.
    std::string body;
};

/// A whole answer, with the head of Docker 20.10.
inline std::string reply(unsigned status, const std::string& body) {
    auto head = "HTTP/1.1 " + std::to_string(status) +
                " Status\r\nApi-Version: 1.41\r\nDocker-Experimental: false\r\nOstype: linux\r\n"
                "Server: Docker/20.10.24 (linux)\r\nDate: Wed, 25 Feb 2026 04:01:28 GMT\r\n";
    if (status == 204 || status == 304) return head + "\r\n";
    return head +
           "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
}

/// The head of an answer whose body comes in chunks.
inline std::string chunked_head() {
    return "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\n"
           "Transfer-Encoding: chunked\r\n\r\n";
}
inline std::string chunk(std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string size;
    for (auto rest = text.size(); rest != 0 || size.empty(); rest /= 16)
        size.insert(size.begin(), digits[rest % 16]);
    return size + "\r\n" + std::string{text} + "\r\n";
}

/// A fake of Docker's daemon on a Unix socket, with the recorded answers of version 20.10.24 (API
/// 1.41). It keeps containers and volumes, and answers from them unless a script replaces the
/// answer. All members but `go_away` and `listen` may be called from any thread.
class recorded_daemon {
public:
    using socket = asio::local::stream_protocol::socket;
    /// May write to the socket, close it, or leave it open.
    using script = std::function<void(socket&, const daemon_request&)>;

    struct container {
        std::string id;
        std::string labels; ///< JSON
        std::string status = "created";
        int exit_code = 0;
        bool out_of_memory = false;
        std::string volume = {}; ///< At /data.
    };

    recorded_daemon() { listen(); }

    [[nodiscard]] std::string path() const { return folder_.path() / "docker.sock"; }
    [[nodiscard]] std::string host() const { return "unix://" + path(); }

    /// Stops listening on the socket, and closes every connection.
    void go_away() {
        server_.reset();
        std::filesystem::remove(path());
        const std::lock_guard lock(mutex_);
        stream_ = nullptr; // closed with the server
    }
    void listen() {
        server_ = std::make_unique<scripted_unix_server>(
            asio::local::stream_protocol::endpoint{path()},
            [this](socket& connection, const std::string& text) {
                const auto request = parse(text);
                script answer;
                {
                    const std::lock_guard lock(mutex_);
                    requests_.push_back(request);
                    answer = take_script(request);
                }
                if (answer) answer(connection, request);
                else as_usual(connection, request);
            });
    }

    /// Lets a script answer such requests from now on. A `*` in the path matches one part of it.
    void when(std::string method, std::string path, script answer) {
        add({std::move(method), std::move(path), std::move(answer), unlimited});
    }
    /// Lets a script answer the next such request only. Several scripts are used in their order.
    void once(std::string method, std::string path, script answer) {
        add({std::move(method), std::move(path), std::move(answer), 1});
    }
    /// Removes all scripts.
    void be_usual() {
        const std::lock_guard lock(mutex_);
        rules_.clear();
    }

    /// Does what a real daemon does, and sends its answer.
    void as_usual(socket& connection, const daemon_request& request) {
        std::string text;
        {
            const std::lock_guard lock(mutex_);
            if (request.path == "/events") {
                open_stream(connection, request);
                return;
            }
            text = effect(request);
        }
        send_and_close(connection, text);
    }
    /// Does what a real daemon does, and returns its answer.
    std::string usual_answer(const daemon_request& request) {
        const std::lock_guard lock(mutex_);
        return effect(request);
    }

    static void send(socket& connection, std::string_view text) {
        std::error_code gone; // the client may have closed the connection
        asio::write(connection, asio::buffer(text), gone);
    }
    static void send_and_close(socket& connection, std::string_view text) {
        send(connection, text);
        std::error_code gone;
        connection.close(gone);
    }

    static script sends(std::string text) {
        return
            [text = std::move(text)](socket& s, const daemon_request&) { send_and_close(s, text); };
    }
    static script sends_and_hangs(std::string text) {
        return [text = std::move(text)](socket& s, const daemon_request&) { send(s, text); };
    }
    static script replies(unsigned status, const std::string& body) {
        return sends(reply(status, body));
    }

    /// The requests so far with this method and this path, which may have a `*`.
    [[nodiscard]] std::vector<daemon_request> requests(std::string_view method,
                                                       std::string_view path) const {
        const std::lock_guard lock(mutex_);
        std::vector<daemon_request> found;
        for (const auto& request : requests_)
            if (request.method == method && matches(path, request.path)) found.push_back(request);
        return found;
    }
    [[nodiscard]] std::size_t count(std::string_view method, std::string_view path) const {
        return requests(method, path).size();
    }

    // Containers and volumes, by their names

    void put_container(const std::string& name, container added) {
        const std::lock_guard lock(mutex_);
        if (added.id.empty()) added.id = new_id();
        containers_[name] = std::move(added);
    }
    /// A container with an empty id if there is none.
    [[nodiscard]] container container_named(const std::string& name) const {
        const std::lock_guard lock(mutex_);
        const auto found = containers_.find(name);
        return found == containers_.end() ? container{} : found->second;
    }
    [[nodiscard]] bool has_container(const std::string& name) const {
        return !container_named(name).id.empty();
    }
    /// Removes a container without an event.
    void remove_container(const std::string& name) {
        const std::lock_guard lock(mutex_);
        containers_.erase(name);
    }
    void put_volume(const std::string& name, std::string labels) {
        const std::lock_guard lock(mutex_);
        volumes_[name] = std::move(labels);
    }
    [[nodiscard]] bool has_volume(const std::string& name) const {
        const std::lock_guard lock(mutex_);
        return volumes_.contains(name);
    }
    void forget_volume(const std::string& name) {
        const std::lock_guard lock(mutex_);
        volumes_.erase(name);
        data_.erase(name);
    }
    /// What the archive of a volume's data holds.
    void put_data(const std::string& name, std::string data) {
        const std::lock_guard lock(mutex_);
        data_[name] = std::move(data);
    }
    [[nodiscard]] std::string data_of(const std::string& name) const {
        const std::lock_guard lock(mutex_);
        const auto found = data_.find(name);
        return found == data_.end() ? std::string{} : found->second;
    }
    void forget_image() {
        const std::lock_guard lock(mutex_);
        image_there_ = false;
    }

    /// Ends a container as if by itself. The event is sent if the stream is open.
    void end_container(const std::string& name, int exit_code, bool out_of_memory = false) {
        const std::lock_guard lock(mutex_);
        const auto found = containers_.find(name);
        if (found == containers_.end()) return;
        found->second.out_of_memory = out_of_memory;
        die(*found, exit_code);
    }

    /// Pauses or resumes a container. The event is sent if the stream is open.
    void pause_container(const std::string& name, bool paused) {
        const std::lock_guard lock(mutex_);
        const auto found = containers_.find(name);
        if (found != containers_.end())
            become(paused ? "paused" : "running", paused ? "pause" : "unpause", *found);
    }

    // The stream of events

    [[nodiscard]] bool stream_is_open() const {
        const std::lock_guard lock(mutex_);
        return stream_ != nullptr;
    }
    /// Sends a chunk with these bytes.
    void send_event(std::string_view text) {
        const std::lock_guard lock(mutex_);
        if (stream_ != nullptr) send(*stream_, chunk(text));
    }
    void cut_stream() {
        const std::lock_guard lock(mutex_);
        std::error_code gone;
        if (stream_ != nullptr) stream_->shutdown(socket::shutdown_both, gone);
        stream_ = nullptr;
    }
    /// An event as a real daemon writes it, with the line end.
    [[nodiscard]] static std::string event(const std::string& action, const std::string& name,
                                           const container& subject) {
        auto attributes = subject.labels;
        attributes.pop_back();
        if (attributes.size() > 1) attributes += ',';
        if (action == "die")
            attributes += R"("exitCode":")" + std::to_string(subject.exit_code) + "\",";
        attributes += R"("image":"tiny:1","name":")" + name + "\"}";
        return R"({"status":")" + action + R"(","id":")" + subject.id +
               R"(","from":"tiny:1","Type":"container","Action":")" + action +
               R"(","Actor":{"ID":")" + subject.id + R"(","Attributes":)" + attributes +
               R"(},"scope":"local","time":1795579290,"timeNano":1795579290272977331})" + "\n";
    }

private:
    static constexpr int unlimited = -1;

    struct rule {
        std::string method;
        std::string path;
        script answer;
        int left = unlimited;
    };

    void add(rule added) {
        const std::lock_guard lock(mutex_);
        // Rules for one request come first, in their order; then the others, the newest first.
        rules_.insert(std::ranges::find(rules_, unlimited, &rule::left), std::move(added));
    }

    script take_script(const daemon_request& request) {
        for (auto at = rules_.begin(); at != rules_.end(); ++at) {
            if (at->method != request.method || !matches(at->path, request.path)) continue;
            auto answer = at->answer;
            if (at->left != unlimited) rules_.erase(at);
            return answer;
        }
        return {};
    }

    static bool matches(std::string_view pattern, std::string_view path) {
        const auto star = pattern.find('*');
        if (star == std::string_view::npos) return pattern == path;
        const auto behind = pattern.substr(star + 1);
        if (!path.starts_with(pattern.substr(0, star)) || !path.ends_with(behind)) return false;
        if (path.size() <= pattern.size() - 1) return false;
        return path.substr(star, path.size() - behind.size() - star).find('/') ==
               std::string_view::npos;
    }

    static daemon_request parse(const std::string& text) {
        daemon_request request;
        const auto first = text.find(' ');
        auto target = text.substr(first + 1, text.find(' ', first + 1) - first - 1);
        request.method = text.substr(0, first);
        if (target.starts_with("/v1.")) {
            const auto end = target.find('/', 1);
            request.version = target.substr(1, end - 1);
            target.erase(0, end);
        }
        const auto question = target.find('?');
        request.path = target.substr(0, question);
        if (question != std::string::npos) request.query = target.substr(question + 1);
        const auto end_of_head = text.find("\r\n\r\n");
        request.head = text.substr(0, end_of_head);
        request.body = text.substr(end_of_head + 4);
        return request;
    }

    /// A part of a path, by its index from 0.
    static std::string part(const std::string& path, int index) {
        std::size_t begin = 1;
        for (; index > 0; --index) begin = path.find('/', begin) + 1;
        return path.substr(begin, path.find('/', begin) - begin);
    }

    /// A member of a request's JSON, as JSON.
    static std::string member_at(const std::string& body, std::string_view pointer) {
        simdjson::dom::parser parser;
        simdjson::dom::element root;
        simdjson::dom::element found;
        if (parser.parse(body).get(root) || root.at_pointer(pointer).get(found)) return "null";
        return simdjson::minify(found);
    }

    std::string new_id() {
        auto id = std::to_string(++ids_);
        id.insert(0, 64 - id.size(), 'f');
        return id;
    }

    using named = std::pair<const std::string, container>;

    named* find(const std::string& name_or_id) {
        for (auto& entry : containers_)
            if (entry.first == name_or_id || entry.second.id == name_or_id) return &entry;
        return nullptr;
    }

    // The members below are called with the lock held.

    void open_stream(socket& connection, const daemon_request& request) {
        send(connection, chunked_head());
        stream_ = &connection;
        stream_query_ = request.query;
    }

    void send_event_of(const std::string& action, const named& subject) {
        const bool wanted = stream_query_.find("%22" + action + "%22") != std::string::npos;
        if (stream_ != nullptr && wanted)
            send(*stream_, chunk(event(action, subject.first, subject.second)));
    }

    void die(named& ended, int exit_code) {
        ended.second.status = "exited";
        ended.second.exit_code = exit_code;
        send_event_of("die", ended);
    }

    std::string effect(const daemon_request& request) {
        const auto kind = part(request.path, 0);
        if (request.path == "/version") return reply(200, version);
        if (request.path == "/networks/create") return make_network(request);
        if (kind == "volumes") return on_volumes(request);
        if (request.path == "/images/create") {
            image_there_ = true;
            return chunked_head() + chunk(pulled) + chunk("");
        }
        if (kind == "images")
            return image_there_ ? reply(200, R"({"Id":"sha256:7429a93356bf"})")
                                : reply(404, R"({"message":"No such image: tiny:1"})");
        if (request.path == "/containers/create") return make_container(request);
        if (request.path == "/containers/json") return reply(200, list_of_containers());
        if (kind == "containers") return on_container(request);
        return reply(404, R"({"message":"page not found"})");
    }

    std::string make_network(const daemon_request& request) {
        const auto name = member_at(request.body, "/Name");
        if (networks_.insert(name).second)
            return reply(201, R"({"Id":")" + new_id() + R"(","Warning":""})");
        return reply(409, R"({"message":"network with name )" + name.substr(1, name.size() - 2) +
                              R"( already exists"})");
    }

    static std::string volume(const std::string& name, const std::string& labels) {
        return R"({"CreatedAt":"2026-02-25T04:01:28Z","Driver":"local","Labels":)" + labels +
               R"(,"Mountpoint":"/var/lib/docker/volumes/)" + name + R"(/_data","Name":")" + name +
               R"(","Options":null,"Scope":"local"})";
    }

    std::string on_volumes(const daemon_request& request) {
        if (request.path == "/volumes") {
            std::string all;
            for (const auto& [name, labels] : volumes_)
                all += (all.empty() ? "" : ",") + volume(name, labels);
            return reply(200, R"({"Volumes":[)" + all + R"(],"Warnings":null})");
        }
        if (request.path == "/volumes/create") {
            auto name = member_at(request.body, "/Name");
            name = name.substr(1, name.size() - 2);
            volumes_.insert({name, member_at(request.body, "/Labels")});
            return reply(201, volume(name, volumes_[name]));
        }
        const auto name = part(request.path, 1);
        const auto found = volumes_.find(name);
        if (found == volumes_.end())
            return reply(404, R"({"message":"get )" + name + R"(: no such volume"})");
        if (request.method == "GET") return reply(200, volume(name, found->second));
        constexpr std::string_view of_data{"engine-data"};
        const auto* const user = name.starts_with(of_data)
                                     ? find("engine" + name.substr(of_data.size()))
                                     : nullptr;
        if (user != nullptr)
            return reply(409, R"({"message":"remove )" + name + ": volume is in use - [" +
                                  user->second.id + R"(]"})");
        for (const auto& [other, entry] : containers_)
            if (entry.volume == name)
                return reply(409, R"({"message":"remove )" + name + R"(: volume is in use"})");
        data_.erase(name);
        volumes_.erase(found);
        return reply(204, "");
    }

    std::string make_container(const daemon_request& request) {
        const auto name = request.query.substr(std::string_view{"name="}.size());
        if (const auto* const other = find(name))
            return reply(409, R"({"message":"Conflict. The container name \"/)" + name +
                                  R"(\" is already in use by container \")" + other->second.id +
                                  R"(\". You have to remove (or rename) that container to be )"
                                  R"(able to reuse that name."})");
        if (!image_there_) return reply(404, R"({"message":"No such image: tiny:1"})");
        // A missing volume is created with its container.
        const auto mounted = member_at(request.body, "/HostConfig/Mounts/0/Source");
        const container made{.id = new_id(),
                             .labels = member_at(request.body, "/Labels"),
                             .volume = mounted == "null" ? ""
                                                         : mounted.substr(1, mounted.size() - 2)};
        containers_[name] = made;
        if (mounted != "null")
            volumes_.insert({made.volume,
                             member_at(request.body, "/HostConfig/Mounts/0/VolumeOptions/Labels")});
        return reply(201, R"({"Id":")" + made.id + R"(","Warnings":[]})");
    }

    std::string list_of_containers() const {
        std::string all;
        for (const auto& [name, entry] : containers_)
            all += (all.empty() ? "" : ",") + (R"({"Id":")" + entry.id) + R"(","Names":["/)" +
                   name +
                   R"("],"Image":"tiny:1","Command":"/prog","Created":1795579288,"Ports":[],)"
                   R"("Labels":)" +
                   entry.labels + R"(,"State":")" + entry.status +
                   R"(","Status":"Up 2 seconds","HostConfig":{"NetworkMode":"engine_net"},)"
                   R"("NetworkSettings":{"Networks":{"engine_net":{"IPAMConfig":null}}}})";
        return '[' + all + ']';
    }

    static std::string inspection(const named& inspected) {
        const auto& [name, entry] = inspected;
        const auto flag = [](bool set) { return set ? "true" : "false"; };
        return R"({"Id":")" + entry.id +
               R"(","Created":"2026-02-25T04:01:28.448789442Z","Path":"/prog","Args":[],"State":)"
               R"({"Status":")" +
               entry.status + R"(","Running":)" +
               flag(entry.status == "running" || entry.status == "paused") + R"(,"Paused":)" +
               flag(entry.status == "paused") + R"(,"Restarting":false,"OOMKilled":)" +
               flag(entry.out_of_memory) + R"(,"Dead":false,"Pid":0,"ExitCode":)" +
               std::to_string(entry.exit_code) +
               R"(,"Error":"","StartedAt":"2026-02-25T04:01:30.080461447Z",)"
               R"("FinishedAt":"0001-01-01T00:00:00Z"},"Image":"sha256:7429a93356bf",)"
               R"("Name":"/)" +
               name +
               R"(","RestartCount":0,"Driver":"overlay2","ExecIDs":null,"HostConfig":{"Binds":null,)"
               R"("NetworkMode":"engine_net","PortBindings":null,"ConsoleSize":[0,0]},"Config":)"
               R"({"Hostname":"11f396cc1a9d","Tty":false,"Env":null,"Image":"tiny:1","Labels":)" +
               entry.labels +
               R"(},"NetworkSettings":{"Bridge":"","Ports":{},"Networks":{"engine_net":)"
               R"({"IPAMConfig":null,"Links":null,"Gateway":"","IPAddress":"172.18.0.2"}}}})";
    }

    std::string on_container(const daemon_request& request) {
        const auto name_or_id = part(request.path, 1);
        auto* const found = find(name_or_id);
        if (found == nullptr)
            return reply(404, R"({"message":"No such container: )" + name_or_id + R"("})");
        auto& entry = found->second;
        if (request.method == "DELETE") {
            if (entry.status == "running" || entry.status == "paused") die(*found, 137);
            containers_.erase(std::string{found->first});
            return reply(204, "");
        }
        const auto verb = part(request.path, 2);
        if (verb == "json") return reply(200, inspection(*found));
        if (verb == "archive") return on_archive(request, entry.volume);
        if (verb == "rename") return rename(*found, request.query.substr(5)); // of name=
        if (verb == "wait") { // for a removal that is in progress
            containers_.erase(std::string{found->first});
            return reply(200, R"({"StatusCode":0})");
        }
        if (verb == "logs") return chunked_head() + chunk("");
        if (verb == "start") {
            if (entry.status == "running") return reply(304, "");
            return become("running", "start", *found);
        }
        if (verb == "stop") {
            if (entry.status != "running") return reply(304, "");
            die(*found, 143);
            return reply(204, "");
        }
        if (verb == "unpause") {
            if (entry.status == "paused") return become("running", "unpause", *found);
            return reply(500, R"({"message":"Container )" + entry.id + R"( is not paused"})");
        }
        if (entry.status != "running")
            return reply(409, R"({"message":"Container )" + entry.id + R"( is not running"})");
        return become("paused", "pause", *found);
    }

    std::string on_archive(const daemon_request& request, const std::string& of) {
        if (request.method == "GET") return chunked_head() + chunk(data_[of]) + chunk("");
        std::string data;
        std::string_view rest{request.body};
        while (!rest.empty()) {
            const auto end = rest.find("\r\n");
            const auto size = std::stoul(std::string{rest.substr(0, end)}, nullptr, 16);
            data += rest.substr(end + 2, size);
            rest.remove_prefix(end + 2 + size + 2);
        }
        data_[of] = data;
        return reply(200, "");
    }

    std::string rename(const named& present, const std::string& name) {
        auto entry = present.second;
        containers_.erase(std::string{present.first});
        containers_[name] = std::move(entry);
        return reply(204, "");
    }

    std::string become(const std::string& status, const std::string& action, named& changed) {
        changed.second.status = status;
        send_event_of(action, changed);
        return reply(204, "");
    }

    static constexpr auto version =
        R"({"Platform":{"Name":""},"Components":[{"Name":"Engine","Version":"20.10.24+dfsg1",)"
        R"("Details":{"ApiVersion":"1.41","Arch":"amd64","Experimental":"false","MinAPIVersion":)"
        R"("1.12","Os":"linux"}},{"Name":"runc","Version":"1.1.5+ds1","Details":{"GitCommit":)"
        R"("1.1.5+ds1-1+deb12u1"}}],"Version":"20.10.24+dfsg1","ApiVersion":"1.41",)"
        R"("MinAPIVersion":"1.12","GitCommit":"5d6db84","GoVersion":"go1.19.8","Os":"linux",)"
        R"("Arch":"amd64","BuildTime":"2026-05-07T21:09:36.000000000+00:00"})";
    static constexpr auto pulled = "{\"status\":\"Pulling from library/tiny\",\"id\":\"1\"}\r\n"
                                   "{\"status\":\"Digest: sha256:7429a93356bf\"}\r\n"
                                   "{\"status\":\"Status: Downloaded newer image for tiny:1\"}\r\n";

    const temporary_folder folder_;
    mutable std::mutex mutex_;
    std::vector<rule> rules_;
    std::vector<daemon_request> requests_;
    std::map<std::string, container> containers_;
    std::map<std::string, std::string> volumes_; ///< Labels as JSON, by name.
    std::map<std::string, std::string> data_;    ///< By the name of the volume.
    std::set<std::string> networks_;
    bool image_there_ = true;
    std::uint64_t ids_ = 0;
    socket* stream_ = nullptr; ///< The last stream; the server owns it.
    std::string stream_query_;
    std::unique_ptr<scripted_unix_server> server_;
};

} // namespace roundhouse_tests
