#pragma once

/// The bodies of the component `docker`, compiled once, as `<roundhouse/src.hpp>` does for the core.
#include <roundhouse/backend/docker.ipp>
#include <roundhouse/backend/docker/tls.ipp>
