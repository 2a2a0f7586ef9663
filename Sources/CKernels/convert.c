#include "include/kernels.h"
#include "vector.h"

#define GET_HALF(name, array) \
  u16x16 name;                \
  load_u16(&name, (array) + i, lanes)

CLONED void bf16_to_f32(float *y, const uint16_t *x, size_t n) {
  EACH(n, GET_HALF(h, x); f32x16 v; widen_bf16(&v, &h); PUT(y, v););
}

CLONED void f16_to_f32(float *y, const uint16_t *x, size_t n) {
  EACH(n, GET_HALF(h, x); f32x16 v; widen_f16(&v, &h); PUT(y, v););
}

CLONED void bf16_to_f64(double *y, const uint16_t *x, size_t n) {
  EACH(n, GET_HALF(h, x); f32x16 v; widen_bf16(&v, &h);
       const f64x16 d = __builtin_convertvector(v, f64x16); store_f64(y + i, &d, lanes););
}

CLONED void f16_to_f64(double *y, const uint16_t *x, size_t n) {
  EACH(n, GET_HALF(h, x); f32x16 v; widen_f16(&v, &h);
       const f64x16 d = __builtin_convertvector(v, f64x16); store_f64(y + i, &d, lanes););
}

CLONED void f32_to_f64(double *y, const float *x, size_t n) {
  EACH(n, GET(v, x); const f64x16 d = __builtin_convertvector(v, f64x16); store_f64(y + i, &d, lanes););
}

CLONED void f64_to_f32(float *y, const double *x, size_t n) {
  EACH(n, f64x16 d; load_f64(&d, x + i, lanes); PUT(y, __builtin_convertvector(d, f32x16)););
}

CLONED void f32_to_bf16(uint16_t *y, const float *x, size_t n) {
  EACH(n, GET(v, x);
       const u32x16 b = (u32x16)v; const u32x16 rounded = (b + 0x7FFF + ((b >> 16) & 1)) >> 16;
       const u32x16 quiet = (b >> 16) | 0x40;
       const u32x16 bits = ((b & 0x7FFFFFFF) > 0x7F800000) ? quiet : rounded;
       const u16x16 h = __builtin_convertvector(bits, u16x16); store_u16(y + i, &h, lanes););
}

CLONED void f32_to_f16(uint16_t *y, const float *x, size_t n) {
  EACH(n, GET(v, x);
       const u32x16 b = (u32x16)v; const u32x16 a = b & 0x7FFFFFFF;
       // 65536 and above: infinity, or a quiet NaN.
       const u32x16 large = (a > 0x7F800000) ? (u32x16)0x7E00 : (u32x16)0x7C00;
       // Below 2^-14: adding 0.5 rounds to a multiple of 2^-24 and leaves it in the low bits.
       const u32x16 small = (u32x16)((f32x16)a + 0.5f) - 0x3F000000;
       const u32x16 normal = (a - 0x38000000 + 0xFFF + ((a >> 13) & 1)) >> 13;
       u32x16 bits = (a < 0x38800000) ? small : normal; bits = (a >= 0x47800000) ? large : bits;
       const u16x16 h = __builtin_convertvector(bits | ((b >> 16) & 0x8000), u16x16); store_u16(y + i, &h, lanes););
}
