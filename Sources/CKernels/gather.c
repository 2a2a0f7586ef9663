#include "include/kernels.h"
#include "vector.h"

CLONED void gather_scaled_f32(float *restrict y, const float *restrict theta, const int32_t *restrict idx,
                              const float *restrict norms, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = theta[idx[i]] * norms[idx[i]];
}

void scatter_add_f32(float *restrict g_theta, const float *restrict g, const int32_t *restrict idx, size_t n) {
  for (size_t i = 0; i < n; i++) g_theta[idx[i]] += g[i];
}

void embed_f32(float *y, const float *table, const int32_t *ids, size_t rows, size_t cols) {
  for (size_t t = 0; t < rows; t++) memcpy(y + t * cols, table + (size_t)ids[t] * cols, cols * sizeof(float));
}

CLONED void embed_grad_acc_f32(float *dtable, const float *dy, const int32_t *ids, size_t rows, size_t cols) {
  for (size_t t = 0; t < rows; t++) {
    float *row = dtable + (size_t)ids[t] * cols;
    EACH(cols, GET(g, dy + t * cols); GET(o, row); PUT(row, o + g););
  }
}
