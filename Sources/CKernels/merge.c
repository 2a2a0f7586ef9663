#include "include/kernels.h"
#include "vector.h"

// The distance of 16 columns of a [q, stride] from b [q]. By differences: squares and products would cancel where a is near b.
HELPER void distance16(f32x16 *y, const float *a, const float *b, size_t q, size_t stride, size_t i, size_t lanes) {
  f32x16 s = (f32x16)0.0f;
  for (size_t k = 0; k < q; k++) {
    GET(v, a + k * stride);
    v -= b[k];
    s = v * v + s;
  }
  *y = __builtin_elementwise_sqrt(s);
}

CLONED void merge_f32(float *d, const float *a0, const float *a1, const float *b0, const float *b1, float c,
                      size_t rows, size_t cols, size_t q, size_t stride, size_t stride_a) {
  for (size_t t = 0; t < rows; t++) {
    EACH(cols, f32x16 d0; f32x16 d1; distance16(&d0, a0, b0 + t * q, q, stride_a, i, lanes);
         distance16(&d1, a1, b1 + t * q, q, stride_a, i, lanes); PUT(d + t * stride, (d0 - d1) * c););
  }
}

// One piece of one row, columns of the distance's vectors [from, to), at most 8: n = c g / distance, then da += n (a - b)
// and db -= the sum of that. Sums stay in their lanes until the row is done.
HELPER void piece_row(float *da, float *db, const float *g, const float *a, const float *b, float c, size_t cols, size_t q,
                      size_t from, size_t to, size_t stride) {
  f32x16 sums[8] = {0};
  EACH(cols, GET(gt, g); if (__builtin_reduce_or(gt != 0.0f)) {
    f32x16 d;
    distance16(&d, a, b, q, stride, i, lanes);
    f32x16 n = (d > 0.0f) ? gt * c / d : d - d;
    pad16(&n, lanes, 0.0f);
    for (size_t k = from; k < to; k++) {
      GET(v, a + k * stride);
      GET(o, da + k * stride);
      const f32x16 e = n * (v - b[k]);
      PUT(da + k * stride, o + e);
      sums[k - from] += e;
    }
  });
  for (size_t k = from; k < to; k++) db[k] -= sum16(&sums[k - from]);
}

CLONED void merge_backward_acc_f32(float *da0, float *da1, float *db0, float *db1, const float *g, const float *a0,
                                   const float *a1, const float *b0, const float *b1, float c, size_t rows, size_t cols,
                                   size_t q, size_t stride, size_t stride_a) {
  for (size_t t = 0; t < rows; t++) {
    for (size_t k = 0; k < q; k += 8) {
      const size_t to = k + 8 < q ? k + 8 : q;
      piece_row(da0, db0 + t * q, g + t * stride, a0, b0 + t * q, c, cols, q, k, to, stride_a);
      piece_row(da1, db1 + t * q, g + t * stride, a1, b1 + t * q, -c, cols, q, k, to, stride_a);
    }
  }
}

// Written so that NaN passes the gate.
CLONED void merge_gate_f32(float *y, const float *x, const float *d, float t, int soft, size_t n) {
  const float taken = soft ? t : 0.0f;
  EACH(n, GET(p, x); GET(v, d); v = __builtin_elementwise_abs(v); PUT(y, p * ((v <= t) ? (f32x16)0.0f : v - taken)););
}

void magnitude_counts_f32(uint32_t *counts, const float *x, size_t n, unsigned shift, unsigned width, uint64_t prefix) {
  const uint32_t mask = (1u << width) - 1;
  for (size_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, x + i, sizeof bits);
    bits &= 0x7FFFFFFF;
    if (bits >> (shift + width) == prefix) counts[(bits >> shift) & mask]++;
  }
}

CLONED float magnitude_above_f32(const float *x, size_t n, float t) {
  f32x16 least = (f32x16)INFINITY;
  EACH(n, GET(v, x); v = __builtin_elementwise_abs(v); v = (v > t) ? v : (f32x16)INFINITY; pad16(&v, lanes, INFINITY);
       least = (v < least) ? v : least;);
  float result = INFINITY;
  for (int j = 0; j < 16; j++) result = least[j] < result ? least[j] : result;
  return result;
}
