#pragma once

#include "../temporary_folder.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace roundhouse_tests {

/// A temporary folder whose path is a string.
class scratch_folder {
public:
    [[nodiscard]] std::string path() const { return folder_.path().string(); }

private:
    temporary_folder folder_;
};

/// A process with its own environment, whose output can be awaited line by line. The destructor
/// kills it if it still runs.
class child_process {
public:
    using environment = std::map<std::string, std::string>;

    child_process(const std::string& program, const std::vector<std::string>& arguments,
                  const environment& variables) {
        std::vector<std::string> words{program};
        words.insert(words.end(), arguments.begin(), arguments.end());
        std::vector<std::string> assignments;
        for (const auto& [name, value] : variables) assignments.push_back(name + "=" + value);
        const auto argv = pointers(words);
        const auto envp = pointers(assignments);
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0)
            throw std::system_error(errno, std::system_category(), "pipe2");
        pid_ = ::fork();
        if (pid_ == 0) {
            ::dup2(ends[1], STDOUT_FILENO);
            ::dup2(ends[1], STDERR_FILENO);
            ::execve(program.c_str(), argv.data(), envp.data());
            ::_exit(127);
        }
        ::close(ends[1]);
        if (pid_ < 0) throw std::system_error(errno, std::system_category(), "fork");
        reader_ = std::thread([this, from = ends[0]] { read(from); });
    }

    ~child_process() {
        if (!status_) ::kill(pid_, SIGKILL), wait();
        reader_.join();
    }
    child_process(const child_process&) = delete;
    child_process& operator=(const child_process&) = delete;

    [[nodiscard]] pid_t pid() const { return pid_; }

    /// Sends a signal; does nothing once the process has been waited for.
    void signal(int number) const {
        if (!status_) ::kill(pid_, number);
    }

    /// Waits for the end; returns the exit code, or minus the signal that ended the process.
    int wait() {
        if (!status_) {
            int status = 0;
            while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
            }
            status_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
        }
        return *status_;
    }

    /// Waits for the first line that contains a text. Throws if the output ends without it, or
    /// after 30 seconds without new output.
    std::string line_with(std::string_view text) {
        std::unique_lock lock(mutex_);
        for (std::size_t seen = 0;; ++seen) {
            const auto more = [&] { return seen < lines_.size() || ended_; };
            if (!changed_.wait_for(lock, std::chrono::seconds(30), more) || seen == lines_.size())
                throw std::runtime_error("no line with \"" + std::string(text) + "\" in:\n" +
                                         joined());
            if (lines_[seen].find(text) != std::string::npos) return lines_[seen];
        }
    }

    /// Waits for the end, and returns all output.
    std::string output() {
        wait();
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return ended_; });
        return joined();
    }

private:
    static std::vector<char*> pointers(std::vector<std::string>& words) {
        std::vector<char*> out;
        for (auto& word : words) out.push_back(word.data());
        out.push_back(nullptr);
        return out;
    }

    /// Reads until the pipe's other end is closed. Engines do not keep it open: their output goes
    /// to a file.
    void read(int from) {
        std::string rest;
        char bytes[4096];
        for (ssize_t count = 0; (count = ::read(from, bytes, sizeof bytes)) > 0;) {
            rest.append(bytes, static_cast<std::size_t>(count));
            const std::lock_guard lock(mutex_);
            for (auto end = rest.find('\n'); end != std::string::npos; end = rest.find('\n')) {
                lines_.push_back(rest.substr(0, end));
                rest.erase(0, end + 1);
            }
            changed_.notify_all();
        }
        ::close(from);
        const std::lock_guard lock(mutex_);
        ended_ = true;
        changed_.notify_all();
    }

    [[nodiscard]] std::string joined() const {
        std::string all;
        for (const auto& line : lines_) all += line + "\n";
        return all;
    }

    pid_t pid_ = -1;
    std::optional<int> status_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::string> lines_;
    bool ended_ = false;
    std::thread reader_;
};

} // namespace roundhouse_tests
