// Included by reference.c per type: T, FN(name), M(libm name), BITS, an unsigned integer of T's size.

static T FN(distance)(const T *a, const T *b, size_t q, size_t stride) {
  T s = 0;
  for (size_t k = 0; k < q; k++) s += (a[k * stride] - b[k]) * (a[k * stride] - b[k]);
  return M(sqrt)(s);
}

void FN(merge)(T *d, const T *a0, const T *a1, const T *b0, const T *b1, T c, size_t rows, size_t cols, size_t q,
               size_t stride, size_t stride_a) {
  for (size_t t = 0; t < rows; t++) {
    for (size_t i = 0; i < cols; i++) {
      d[t * stride + i] = (FN(distance)(a0 + i, b0 + t * q, q, stride_a) - FN(distance)(a1 + i, b1 + t * q, q, stride_a)) * c;
    }
  }
}

static void FN(merge_piece)(T *da, T *db, T g, const T *a, const T *b, T c, size_t q, size_t stride) {
  const T d = FN(distance)(a, b, q, stride);
  const T n = d > 0 ? g * c / d : d - d;
  for (size_t k = 0; k < q; k++) {
    const T e = n * (a[k * stride] - b[k]);
    da[k * stride] += e;
    db[k] -= e;
  }
}

void FN(merge_backward_acc)(T *da0, T *da1, T *db0, T *db1, const T *g, const T *a0, const T *a1, const T *b0, const T *b1,
                            T c, size_t rows, size_t cols, size_t q, size_t stride, size_t stride_a) {
  for (size_t t = 0; t < rows; t++) {
    for (size_t i = 0; i < cols; i++) {
      const T gt = g[t * stride + i];
      if (gt == 0) continue;
      FN(merge_piece)(da0 + i, db0 + t * q, gt, a0 + i, b0 + t * q, c, q, stride_a);
      FN(merge_piece)(da1 + i, db1 + t * q, gt, a1 + i, b1 + t * q, -c, q, stride_a);
    }
  }
}

void FN(merge_gate)(T *y, const T *x, const T *d, T t, int soft, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const T v = M(fabs)(d[i]);
    y[i] = x[i] * (v <= t ? 0 : v - (soft ? t : 0));
  }
}

void FN(magnitude_counts)(uint32_t *counts, const T *x, size_t n, unsigned shift, unsigned width, uint64_t prefix) {
  const BITS mask = ((BITS)1 << width) - 1, sign = (BITS)1 << (8 * sizeof(BITS) - 1);
  for (size_t i = 0; i < n; i++) {
    BITS bits;
    memcpy(&bits, x + i, sizeof bits);
    bits &= ~sign;
    if (bits >> (shift + width) == prefix) counts[(bits >> shift) & mask]++;
  }
}

T FN(magnitude_above)(const T *x, size_t n, T t) {
  T least = (T)INFINITY;
  for (size_t i = 0; i < n; i++) {
    const T v = M(fabs)(x[i]);
    if (v > t && v < least) least = v;
  }
  return least;
}
