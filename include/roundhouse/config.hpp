#pragma once

/// Bodies that are no templates live in `.ipp` files. By default every header includes its own, and
/// the library is header-only. With `ROUNDHOUSE_SEPARATE_COMPILATION` defined in all files, headers
/// only declare, and one file of the program includes `<roundhouse/src.hpp>`, and `src_subprocess.hpp`,
/// `src_docker.hpp`, `src_lmdb.hpp` or `src_http.hpp` for each of these components that it uses.
#if defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#define ROUNDHOUSE_DECL
#else
#define ROUNDHOUSE_DECL inline
#endif
