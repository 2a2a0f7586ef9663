// 16-wide vectors for the fast kernels. Helpers take pointers: a 64-byte vector may not cross a call in a cloned function.
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// -Xcc -DCK_BASELINE leaves only the baseline, so that a test run can cover it on any processor.
#if defined(__x86_64__) && defined(__linux__) && !defined(CK_BASELINE)
#define CLONED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONED
#endif
#define UNROLLED _Pragma("clang loop unroll(full)")
#define HELPER static inline __attribute__((always_inline, unused))

typedef float f32x16 __attribute__((ext_vector_type(16)));
typedef float f32x8 __attribute__((ext_vector_type(8)));
typedef float f32x4 __attribute__((ext_vector_type(4)));
typedef double f64x16 __attribute__((ext_vector_type(16)));
typedef double f64x8 __attribute__((ext_vector_type(8)));
typedef double f64x4 __attribute__((ext_vector_type(4)));
typedef int32_t i32x16 __attribute__((ext_vector_type(16)));
typedef uint32_t u32x8 __attribute__((ext_vector_type(8)));
typedef uint32_t u32x16 __attribute__((ext_vector_type(16)));
typedef uint64_t u64x8 __attribute__((ext_vector_type(8)));
typedef uint16_t u16x16 __attribute__((ext_vector_type(16)));
typedef _Float16 f16x16 __attribute__((ext_vector_type(16)));
typedef int16_t i16x16 __attribute__((ext_vector_type(16)));
typedef uint8_t u8x16 __attribute__((ext_vector_type(16)));

// load_* fills absent lanes with zero bits; store_* writes `lanes` lanes only.
#define DEFINE_MEMORY(suffix, vec, elem)                                                                 \
  typedef elem vec##_unaligned __attribute__((ext_vector_type(16), aligned(sizeof(elem)), may_alias));   \
  HELPER void load_##suffix(vec *v, const elem *p, size_t lanes) {                                       \
    if (lanes == 16) {                                                                                   \
      *v = *(const vec##_unaligned *)p;                                                                  \
    } else {                                                                                             \
      *v = (vec)0;                                                                                       \
      memcpy(v, p, lanes * sizeof(elem));                                                                \
    }                                                                                                    \
  }                                                                                                      \
  HELPER void store_##suffix(elem *p, const vec *v, size_t lanes) {                                      \
    if (lanes == 16) {                                                                                   \
      *(vec##_unaligned *)p = *v;                                                                        \
    } else {                                                                                             \
      memcpy(p, v, lanes * sizeof(elem));                                                                \
    }                                                                                                    \
  }
DEFINE_MEMORY(f32, f32x16, float)
DEFINE_MEMORY(f64, f64x16, double)
DEFINE_MEMORY(u16, u16x16, uint16_t)
DEFINE_MEMORY(u8, u8x16, uint8_t)

// Run the statements for i = 0, 16, 32, ... with `lanes` 16, then once for a tail. Inside, GET names a loaded block
// of 16 and PUT stores one.
#define EACH(n, ...)                   \
  do {                                 \
    size_t i = 0;                      \
    for (; i + 16 <= (n); i += 16) {   \
      const size_t lanes = 16;         \
      __VA_ARGS__                      \
    }                                  \
    if (i < (n)) {                     \
      const size_t lanes = (n) - i;    \
      __VA_ARGS__                      \
    }                                  \
  } while (0)
#define GET(name, array) \
  f32x16 name;           \
  load_f32(&name, (array) + i, lanes)
#define PUT(array, value)                    \
  do {                                       \
    const f32x16 put = (value);              \
    store_f32((array) + i, &put, lanes);     \
  } while (0)

HELPER float sum16(const f32x16 *v) {
  const f32x8 a = v->lo + v->hi;
  const f32x4 b = a.lo + a.hi;
  return (b.x + b.z) + (b.y + b.w);
}

HELPER double sum16_f64(const f64x16 *v) {
  const f64x8 a = v->lo + v->hi;
  const f64x4 b = a.lo + a.hi;
  return (b.x + b.z) + (b.y + b.w);
}

// Lanes at or after `lanes` become `value`.
HELPER void pad16(f32x16 *v, size_t lanes, float value) {
  if (lanes < 16) {
    const i32x16 index = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    *v = (index < (int32_t)lanes) ? *v : (f32x16)value;
  }
}

// e^x, about 1 ulp; 0 at -inf, inf above 88.72, NaN kept.
HELPER void exp16(f32x16 *v) {
  f32x16 x = *v;
  x = (x < -104.0f) ? (f32x16)-104.0f : x;
  x = (x > 100.0f) ? (f32x16)100.0f : x;
  // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
  const f32x16 t = x * 1.44269504088896341f + 12582912.0f;
  const f32x16 k = t - 12582912.0f;
  const i32x16 n = (i32x16)t - 0x4B400000;
  f32x16 r = x - k * 0.693359375f;
  r = r + k * 2.12194440e-4f;
  f32x16 p = (f32x16)1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r;
  p = p + 1.0f;
  // 2^n in two factors, so that subnormal and overflowing results come out right.
  const i32x16 half = n >> 1;
  *v = p * (f32x16)((half + 127) << 23) * (f32x16)((n - half + 127) << 23);
}

// s = 1 / (1 + e^-x) and q = 1 - s, both to full relative precision while x is above -80.
HELPER void logistic16(const f32x16 *x, f32x16 *s, f32x16 *q) {
  const f32x16 v = *x;
  f32x16 e = -((v < -80.0f) ? (f32x16)-80.0f : v);
  exp16(&e);
  *s = 1.0f / (1.0f + e);
  *q = e * *s;
}

HELPER void sigmoid16(f32x16 *v) {
  f32x16 e = -*v;
  exp16(&e);
  *v = 1.0f / (1.0f + e);
}

HELPER void tanh16(f32x16 *v) {
  const f32x16 x = *v, z = x * x;
  f32x16 p = (f32x16)-5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  p = p * z * x + x;
  f32x16 e = 2.0f * x;
  exp16(&e);
  *v = (z < 0.390625f) ? p : 1.0f - 2.0f / (e + 1.0f);
}

// bell = e^(-x^2/2), cdf = the standard normal distribution function. The tail is bell times a polynomial in
// t = 1 / (1 + 0.35 z), fitted to e^(z^2) erfc(z) on 0 <= z <= 7: 5e-9 absolute before rounding.
HELPER void normal16(const f32x16 *x, f32x16 *cdf, f32x16 *bell) {
  const f32x16 v = *x;
  *bell = v * v * -0.5f;
  exp16(bell);
  const f32x16 t = 1.0f / (1.0f + __builtin_elementwise_abs(v) * (0.35f * 0.707106781186547524f));
  f32x16 p = (f32x16)-1.987738620e-1f;
  p = p * t + 7.766584573e-1f;
  p = p * t - 6.900337907e-1f;
  p = p * t + 6.952333428e-1f;
  p = p * t - 1.512331555e-2f;
  p = p * t + 2.379739720e-1f;
  p = p * t + 1.940652202e-1f;
  const f32x16 tail = 0.5f * p * t * *bell;
  *cdf = (v < 0.0f) ? tail : 1.0f - tail;
}

HELPER void widen_bf16(f32x16 *y, const u16x16 *x) {
  *y = (f32x16)(__builtin_convertvector(*x, u32x16) << 16);
}

HELPER void widen_f16_hardware(f32x16 *y, const u16x16 *x) { *y = __builtin_convertvector((f16x16)*x, f32x16); }

// Exact: the exponent is rebased by a multiplication, which also normalises subnormals.
HELPER void widen_f16(f32x16 *y, const u16x16 *x) {
  const i32x16 h = __builtin_convertvector((i16x16)*x, i32x16);
  const i32x16 shifted = (h << 13) & (int32_t)0x8FFFE000;
  const i32x16 special = (shifted & 0x0F800000) == 0x0F800000;
  *y = (f32x16)((i32x16)((f32x16)shifted * 0x1p112f) | (special & 0x7F800000));
}
