#include "include/kernels.h"
#include "vector.h"

// Lanes past the end and columns that are not allowed become -inf, which exp16 turns into 0.
#define SCORES(name)                                                                  \
  GET(name, s);                                                                       \
  name *= scale;                                                                      \
  if (allowed) {                                                                      \
    u8x16 bytes;                                                                      \
    load_u8(&bytes, allowed + i, lanes);                                              \
    name = (__builtin_convertvector(bytes, i32x16) != 0) ? name : (f32x16)-INFINITY;  \
  }                                                                                   \
  pad16(&name, lanes, -INFINITY)

HELPER int sees_any(const uint8_t *allowed, size_t n) {
  if (!allowed) return 1;
  for (size_t i = 0; i < n; i++) {
    if (allowed[i]) return 1;
  }
  return 0;
}

HELPER void softmax_row(float *row, size_t cols, size_t lo, size_t hi, float scale, const uint8_t *allowed) {
  hi = hi < cols ? hi : cols;
  if (lo >= hi) {
    memset(row, 0, cols * sizeof(float));
    return;
  }
  memset(row, 0, lo * sizeof(float));
  memset(row + hi, 0, (cols - hi) * sizeof(float));
  float *s = row + lo;
  const size_t n = hi - lo;
  if (allowed) allowed += lo;

  f32x16 m = (f32x16)-INFINITY;
  EACH(n, SCORES(p); m = __builtin_elementwise_max(m, p););
  const float top = __builtin_reduce_max(m);
  // The maximum passes over NaN, which would make a row of nothing else look as if it saw nothing.
  if (top == -INFINITY && !sees_any(allowed, n)) {
    memset(s, 0, n * sizeof(float));
    return;
  }
  f32x16 total = (f32x16)0.0f;
  EACH(n, SCORES(p); p -= top; exp16(&p); total += p; PUT(s, p););
  const float inv = 1.0f / sum16(&total);
  EACH(n, GET(p, s); PUT(s, p * inv););
}

HELPER void softmax_backward_row(float *row, const float *p, size_t cols, size_t lo, size_t hi, float scale) {
  hi = hi < cols ? hi : cols;
  if (lo >= hi) {
    memset(row, 0, cols * sizeof(float));
    return;
  }
  memset(row, 0, lo * sizeof(float));
  memset(row + hi, 0, (cols - hi) * sizeof(float));
  float *d = row + lo;
  const size_t n = hi - lo;
  p += lo;
  f32x16 s = (f32x16)0.0f;
  EACH(n, GET(a, d); GET(b, p); s = a * b + s;);
  const float mean = sum16(&s);
  EACH(n, GET(a, d); GET(b, p); PUT(d, b * (a - mean) * scale););
}

// The first of the columns before `end` that a window of that size still shows.
HELPER size_t window_begin(size_t end, size_t window) { return window && end > window ? end - window : 0; }

CLONED void softmax_causal_f32(float *scores, size_t rows, size_t cols, size_t first_query_position, size_t window,
                               float scale, const uint8_t *allowed) {
  for (size_t t = 0; t < rows; t++) {
    const size_t end = first_query_position + t + 1;
    softmax_row(scores + t * cols, cols, window_begin(end, window), end, scale, allowed);
  }
}

CLONED void softmax_masked_f32(float *scores, size_t rows, size_t cols, const int32_t *lo, const int32_t *hi,
                               float scale, const uint8_t *allowed) {
  for (size_t t = 0; t < rows; t++) {
    softmax_row(scores + t * cols, cols, lo ? (size_t)lo[t] : 0, hi ? (size_t)hi[t] : cols, scale, allowed);
  }
}

CLONED void softmax_causal_backward_f32(float *dscores, const float *p, size_t rows, size_t cols,
                                        size_t first_query_position, size_t window, float scale) {
  for (size_t t = 0; t < rows; t++) {
    const size_t end = first_query_position + t + 1;
    softmax_backward_row(dscores + t * cols, p + t * cols, cols, window_begin(end, window), end, scale);
  }
}

CLONED void softmax_masked_backward_f32(float *dscores, const float *p, size_t rows, size_t cols, const int32_t *lo,
                                        const int32_t *hi, float scale) {
  for (size_t t = 0; t < rows; t++) {
    softmax_backward_row(dscores + t * cols, p + t * cols, cols, lo ? (size_t)lo[t] : 0, hi ? (size_t)hi[t] : cols,
                         scale);
  }
}
