#pragma once

/// Bodies that are no templates live in `.ipp` files. By default every header includes its own, and
/// the library is header-only. With `ROUNDHOUSE_SEPARATE_COMPILATION` defined in all files, headers
/// only declare, and one file of the program includes `<roundhouse/src.hpp>`.
#if defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#define ROUNDHOUSE_DECL
#else
#define ROUNDHOUSE_DECL inline
#endif
