#pragma once

// Whether this program is built with AddressSanitizer: g++ and Clang tell it in different ways.
#if defined(__SANITIZE_ADDRESS__)
#define ROUNDHOUSE_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ROUNDHOUSE_ADDRESS_SANITIZER 1
#endif
#endif

#ifndef ROUNDHOUSE_ADDRESS_SANITIZER
#define ROUNDHOUSE_ADDRESS_SANITIZER 0
#endif
