#pragma once

/// The bodies of the component `lmdb`, compiled once, as `<roundhouse/src.hpp>` does for the core.
#include <roundhouse/store/lmdb.ipp>
