#pragma once

/// The bodies of the component `subprocess`, compiled once, as `<roundhouse/src.hpp>` does for the core.
#include <roundhouse/backend/subprocess.ipp>
#include <roundhouse/backend/subprocess_copies.ipp>
