#pragma once

#include <roundhouse/backend/docker/options.hpp>
#include <roundhouse/detail/ascii.hpp>
#include <roundhouse/error.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// What an image's name means (https://docs.docker.com/reference/cli/docker/image/pull/).
namespace detail::docker {

/// The registry of names that have none.
inline constexpr std::string_view default_registry = "docker.io";

/// Whether Docker takes the part of an image's name before the first slash for a host.
[[nodiscard]] inline bool is_host(std::string_view part) {
    return part == "localhost" || std::ranges::any_of(part, [](char c) {
               return c == '.' || c == ':' || (c >= 'A' && c <= 'Z');
           });
}

/// The registry that Docker pulls an image from, in lower case: the host that the name begins with,
/// else docker.io.
[[nodiscard]] inline std::string registry_of(std::string_view image) {
    const auto slash = image.find('/');
    const auto first = image.substr(0, slash);
    std::string registry{slash != std::string_view::npos && is_host(first) ? first
                                                                           : default_registry};
    std::ranges::transform(registry, registry.begin(), to_lower);
    if (registry == "index.docker.io") registry = default_registry; // its former name
    return registry;
}

/// Reads the name of a registry as `docker_options::registries` has it: a host, and a port where
/// image names have one. Returns it as `registry_of` does. The message of a failure
/// (`invalid_request`) names the text and the fault.
[[nodiscard]] inline result<std::string> read_registry(std::string_view text) {
    const auto refused = [&](std::string_view fault) {
        return fail(errc::invalid_request,
                    '"' + std::string{text} + "\" " + std::string{fault} +
                        ": write a host as image names begin with it, such as "
                        "registry.example.com, localhost:5000 or docker.io");
    };
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view{".-:[]"}.find(c) != std::string_view::npos;
    };
    if (text.empty() || !std::ranges::all_of(text, allowed)) return refused("is no registry");
    if (!is_host(text)) return refused("would be a part of a name on docker.io");
    return registry_of(std::string{text} + '/');
}

/// Whether a text is `sha256:` and 64 hex digits in lower case: as a version the id of an image,
/// after an `@` the digest of one.
[[nodiscard]] inline bool is_digest(std::string_view text) {
    constexpr std::string_view algorithm = "sha256:";
    constexpr std::size_t digits = 64;
    return text.size() == algorithm.size() + digits && text.starts_with(algorithm) &&
           text.find_first_not_of("0123456789abcdef", algorithm.size()) == std::string_view::npos;
}

/// The name of an image, with its registry, without its tag and its digest. Empty for an id.
[[nodiscard]] inline std::string repository_of(std::string_view image) {
    if (is_digest(image)) return {};
    const auto name = image.substr(0, image.find('@'));
    const auto slash = name.rfind('/');
    const auto tag = name.find(':', slash == std::string_view::npos ? 0 : slash);
    return std::string{name.substr(0, tag)};
}

/// The image of an engine_version (SPEC §1): the version itself, or for `@sha256:…` that digest in
/// `repository`. A failure's message names the version and the fault.
[[nodiscard]] inline result<std::string> image_of(const std::string& version,
                                                  const std::string& repository) {
    const auto refused = [&](std::string_view fault) {
        return fail(errc::backend_error,
                    "Docker: the version " + version + ' ' + std::string{fault});
    };
    constexpr auto form = "sha256: and 64 hex digits in lower case";
    const auto at = version.find('@');
    if (at == std::string::npos) {
        if (version.starts_with("sha256:") && !is_digest(version))
            return refused(std::string{"is not the id of an image: "} + form);
        return version;
    }
    if (!is_digest(std::string_view{version}.substr(at + 1)))
        return refused(std::string{"has no digest after its @: "} + form);
    if (at != 0) return version;
    if (repository.empty())
        return refused("names no repository, and neither does ORCH_ENGINE_IMAGE "
                       "(docker_options::repository): write NAME@sha256:DIGEST");
    return repository + version;
}

/// Splits an image into the name and the tag of a pull. The tag is empty if the image has a digest.
[[nodiscard]] inline std::pair<std::string, std::string> split_image(const std::string& image) {
    if (image.find('@') != std::string::npos) return {image, ""};
    const auto colon = image.rfind(':');
    const bool tagged = colon != std::string::npos && image.find('/', colon) == std::string::npos;
    // Without a tag all tags would be pulled.
    if (!tagged) return {image, "latest"};
    return {image.substr(0, colon), image.substr(colon + 1)};
}

} // namespace detail::docker

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
