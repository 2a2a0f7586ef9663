#include "include/kernels.h"
#include "vector.h"

CLONED int entries_fit_f32(const float *row, const float *column, size_t count, size_t outputs, size_t inputs) {
  const float lastRow = (float)outputs, lastColumn = (float)inputs;
  int bad = 0;
  for (size_t l = 0; l < count; l++) {
    const float i = row[l], j = column[l];
    bad |= !(i >= 0 && i < lastRow) | !(j >= 0 && j < lastColumn);
  }
  if (bad) return 0;
  for (size_t l = 0; l < count; l++) bad |= ((float)(int32_t)row[l] != row[l]) | ((float)(int32_t)column[l] != column[l]);
  for (size_t l = 1; l < count; l++) {
    bad |= !((row[l - 1] < row[l]) | ((row[l - 1] == row[l]) & (column[l - 1] < column[l])));
  }
  return !bad;
}

// Sixteen columns at a time: the lines they fill stay in the cache until they are full.
CLONED void to_tile_f32(float *restrict tile, const float *restrict x, size_t rows, size_t cols) {
  for (size_t j0 = 0; j0 < cols; j0 += 16) {
    const size_t end = j0 + 16 < cols ? j0 + 16 : cols;
    for (size_t t = 0; t < rows; t++) {
      for (size_t j = j0; j < end; j++) tile[j * 32 + t] = x[t * cols + j];
    }
    for (size_t j = j0; j < end && rows < 32; j++) memset(tile + j * 32 + rows, 0, (32 - rows) * sizeof(float));
  }
}

CLONED void from_tile_f32(float *restrict x, int accumulate, const float *restrict tile, size_t rows, size_t cols) {
  for (size_t j0 = 0; j0 < cols; j0 += 16) {
    const size_t end = j0 + 16 < cols ? j0 + 16 : cols;
    for (size_t t = 0; t < rows; t++) {
      for (size_t j = j0; j < end; j++) x[t * cols + j] = (accumulate ? x[t * cols + j] : 0) + tile[j * 32 + t];
    }
  }
}

CLONED void entries_acc_f32(float *y, const float *theta, const float *row, const float *column, float scale,
                            const float *z, size_t count) {
  const size_t lanes = 16;
  size_t l = 0;
  while (l < count) {
    const float number = row[l];
    f32x16 a = (f32x16)0.0f, b = a, c = a, d = a;
    for (; l + 1 < count && row[l + 1] == number; l += 2) {
      const float *z0 = z + (size_t)(int32_t)column[l] * 32, *z1 = z + (size_t)(int32_t)column[l + 1] * 32;
      f32x16 p, q, r, s;
      load_f32(&p, z0, 16);
      load_f32(&q, z0 + 16, 16);
      load_f32(&r, z1, 16);
      load_f32(&s, z1 + 16, 16);
      a = p * theta[l] + a;
      b = q * theta[l] + b;
      c = r * theta[l + 1] + c;
      d = s * theta[l + 1] + d;
    }
    if (l < count && row[l] == number) {
      const float *z0 = z + (size_t)(int32_t)column[l] * 32;
      f32x16 p, q;
      load_f32(&p, z0, 16);
      load_f32(&q, z0 + 16, 16);
      a = p * theta[l] + a;
      b = q * theta[l] + b;
      l++;
    }
    float *out = y + (size_t)(int32_t)number * 32;
    size_t i = 0;
    GET(low, out);
    PUT(out, (a + c) * scale + low);
    i = 16;
    GET(high, out);
    PUT(out, (b + d) * scale + high);
  }
}

CLONED void entries_gradient_acc_f32(float *restrict dtheta, const float *row, const float *column, float scale,
                                     const float *dy, const float *z, size_t count) {
  size_t l = 0;
  while (l < count) {
    const float number = row[l];
    f32x16 a, b;
    load_f32(&a, dy + (size_t)(int32_t)number * 32, 16);
    load_f32(&b, dy + (size_t)(int32_t)number * 32 + 16, 16);
    a = a * scale;
    b = b * scale;
    for (; l < count && row[l] == number; l++) {
      const float *z0 = z + (size_t)(int32_t)column[l] * 32;
      f32x16 p, q;
      load_f32(&p, z0, 16);
      load_f32(&q, z0 + 16, 16);
      p = a * p + b * q;
      dtheta[l] += sum16(&p);
    }
  }
}

void entries_transposed_f32(float *restrict new_theta, float *restrict new_row, float *restrict new_column,
                            const float *restrict theta, const float *restrict row, const float *restrict column,
                            int32_t *restrict next, size_t count, size_t inputs) {
  memset(next, 0, inputs * sizeof(int32_t));
  for (size_t l = 0; l < count; l++) next[(int32_t)column[l]]++;
  int32_t start = 0;
  for (size_t j = 0; j < inputs; j++) {
    const int32_t entries = next[j];
    next[j] = start;
    start += entries;
  }
  for (size_t l = 0; l < count; l++) {
    const int32_t at = next[(int32_t)column[l]]++;
    new_theta[at] = theta[l];
    new_row[at] = row[l];
    new_column[at] = column[l];
  }
}

CLONED void entries_row_acc_f32(float *y, const float *theta, const float *row, const float *column, float scale,
                                const float *z, size_t count) {
  size_t l = 0;
  while (l < count) {
    const float number = row[l];
    float a = 0, b = 0;
    for (; l + 1 < count && row[l + 1] == number; l += 2) {
      a += theta[l] * z[(int32_t)column[l]];
      b += theta[l + 1] * z[(int32_t)column[l + 1]];
    }
    for (; l < count && row[l] == number; l++) a += theta[l] * z[(int32_t)column[l]];
    y[(int32_t)number] += scale * (a + b);
  }
}

CLONED void entries_row_backward_acc_f32(float *dz, float *dtheta, const float *theta, const float *row,
                                         const float *column, float scale, const float *dy, const float *z,
                                         size_t count) {
  for (size_t l = 0; l < count; l++) {
    const int32_t j = (int32_t)column[l];
    const float g = scale * dy[(int32_t)row[l]];
    if (dtheta) dtheta[l] += g * z[j];
    if (dz) dz[j] += g * theta[l];
  }
}
