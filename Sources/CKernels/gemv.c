// Matrix times vector for generation: bound by reading W once. What is best for that was measured (2026-11, Zen 3): eight rows
// of floats side by side; of half the size one row after the other, fetched a kilobyte ahead.
#include "include/kernels.h"
#include "vector.h"

#define WEIGHTS_f32(name, array) GET(name, array)
#define WEIGHTS_bf16(name, array)                 \
  u16x16 half_##name;                             \
  load_u16(&half_##name, (array) + i, lanes);     \
  f32x16 name;                                    \
  widen_bf16(&name, &half_##name)
#define WEIGHTS_f16(name, array)                  \
  u16x16 half_##name;                             \
  load_u16(&half_##name, (array) + i, lanes);     \
  f32x16 name;                                    \
  widen_f16(&name, &half_##name)

#define WEIGHTS_f16_hardware(name, array)         \
  u16x16 half_##name;                             \
  load_u16(&half_##name, (array) + i, lanes);     \
  f32x16 name;                                    \
  widen_f16_hardware(&name, &half_##name)

CLONED void gemv_f32(float *y, const float *W, const float *x, size_t row_begin, size_t row_end, size_t cols) {
  enum { SIDE = 8 };
  size_t o = row_begin;
  for (; o + SIDE <= row_end; o += SIDE) {
    const float *w = W + o * cols;
    f32x16 s[SIDE];
    UNROLLED for (size_t r = 0; r < SIDE; r++) s[r] = (f32x16)0.0f;
    EACH(cols, GET(v, x); UNROLLED for (size_t r = 0; r < SIDE; r++) {
      GET(a, w + r * cols);
      s[r] = a * v + s[r];
    });
    UNROLLED for (size_t r = 0; r < SIDE; r++) y[o + r] = sum16(&s[r]);
  }
  for (; o < row_end; o++) {
    f32x16 s = (f32x16)0.0f;
    EACH(cols, GET(v, x); GET(a, W + o * cols); s = a * v + s;);
    y[o] = sum16(&s);
  }
}

// Of half precision a row is short and its arithmetic long: the processor fetches too little on its own.
#define AHEAD 512
#define DEFINE_GEMV_HALF(attributes, function, kind)                                                            \
  attributes void function(float *y, const uint16_t *W, const float *x, size_t row_begin, size_t row_end,       \
                           size_t cols) {                                                                       \
    for (size_t o = row_begin; o < row_end; o++) {                                                              \
      const uint16_t *w = W + o * cols;                                                                         \
      f32x16 s = (f32x16)0.0f, t = s;                                                                           \
      const size_t pairs = cols / 32 * 32;                                                                      \
      for (size_t j = 0; j < pairs; j += 32) {                                                                  \
        __builtin_prefetch(w + j + AHEAD);                                                                      \
        const size_t lanes = 16;                                                                                \
        {                                                                                                       \
          const size_t i = j;                                                                                   \
          GET(v, x);                                                                                            \
          WEIGHTS_##kind(a, w);                                                                                 \
          s = a * v + s;                                                                                        \
        }                                                                                                       \
        const size_t i = j + 16;                                                                                \
        GET(v, x);                                                                                              \
        WEIGHTS_##kind(a, w);                                                                                   \
        t = a * v + t;                                                                                          \
      }                                                                                                         \
      EACH(cols - pairs, GET(v, x + pairs); WEIGHTS_##kind(a, w + pairs); s = a * v + s;);                      \
      s += t;                                                                                                   \
      y[o] = sum16(&s);                                                                                         \
    }                                                                                                           \
  }

// W [lines, stride] by lines of inputs: every eight lines are added to y, which stays in the cache.
#define DEFINE_GEMV_LINES(attributes, function, kind, elem)                                                     \
  attributes void function(float *y, const elem *W, const float *x, size_t begin, size_t end, size_t lines,     \
                           size_t stride) {                                                                     \
    enum { SIDE = 8 };                                                                                          \
    const size_t n = end - begin;                                                                               \
    y += begin;                                                                                                 \
    EACH(n, PUT(y, (f32x16)0.0f););                                                                             \
    size_t l = 0;                                                                                               \
    for (; l + SIDE <= lines; l += SIDE) {                                                                      \
      const elem *w = W + l * stride + begin;                                                                   \
      EACH(n, GET(s, y); UNROLLED for (size_t r = 0; r < SIDE; r++) {                                           \
        WEIGHTS_##kind(a, w + r * stride);                                                                      \
        s = a * x[l + r] + s;                                                                                   \
      } PUT(y, s););                                                                                            \
    }                                                                                                           \
    for (; l < lines; l++) {                                                                                    \
      const elem *w = W + l * stride + begin;                                                                   \
      EACH(n, GET(s, y); WEIGHTS_##kind(a, w); PUT(y, a * x[l] + s););                                          \
    }                                                                                                           \
  }

DEFINE_GEMV_HALF(CLONED, gemv_bf16, bf16)
DEFINE_GEMV_LINES(CLONED, gemv_lines_f32, f32, float)
DEFINE_GEMV_LINES(CLONED, gemv_lines_bf16, bf16, uint16_t)

// Widening f16 in integer steps is slower than memory, so a processor that has the instruction should use it. A clone
// cannot choose its body, so these versions are chosen by hand.
#define DEFINE_F16(attributes, suffix, kind)                         \
  DEFINE_GEMV_HALF(attributes, gemv_f16##suffix, kind)               \
  DEFINE_GEMV_LINES(attributes, gemv_lines_f16##suffix, kind, uint16_t)
#if defined(__x86_64__) && defined(__linux__) && !defined(CK_BASELINE)
DEFINE_F16(__attribute__((target("arch=x86-64-v4"))) static, _v4, f16_hardware)
DEFINE_F16(__attribute__((target("arch=x86-64-v3"))) static, _v3, f16_hardware)
DEFINE_F16(static, _baseline, f16)

#define CHOSEN(function, ...)                             \
  if (__builtin_cpu_supports("x86-64-v4")) {              \
    function##_v4(__VA_ARGS__);                           \
  } else if (__builtin_cpu_supports("x86-64-v3")) {       \
    function##_v3(__VA_ARGS__);                           \
  } else {                                                \
    function##_baseline(__VA_ARGS__);                     \
  }

void gemv_f16(float *y, const uint16_t *W, const float *x, size_t row_begin, size_t row_end, size_t cols) {
  CHOSEN(gemv_f16, y, W, x, row_begin, row_end, cols)
}

void gemv_lines_f16(float *y, const uint16_t *W, const float *x, size_t begin, size_t end, size_t lines, size_t stride) {
  CHOSEN(gemv_lines_f16, y, W, x, begin, end, lines, stride)
}
#elif defined(__aarch64__)
DEFINE_F16(CLONED, , f16_hardware)
#else
DEFINE_F16(CLONED, , f16)
#endif
