#include "include/kernels.h"
#include "vector.h"

// Squares that overflow have no root: a row of zeros would hide that the numbers before it went astray.
HELPER float inverse_root(float x) { return x < INFINITY ? 1.0f / sqrtf(x) : NAN; }

CLONED void rmsnorm_f32(float *y, float *inv_rms, const float *x, const float *weight, float eps, size_t rows,
                        size_t cols) {
  for (size_t t = 0; t < rows; t++) {
    const float *xt = x + t * cols;
    f32x16 s = (f32x16)0.0f;
    EACH(cols, GET(p, xt); s = p * p + s;);
    const float inv = inverse_root(sum16(&s) / (float)cols + eps);
    inv_rms[t] = inv;
    EACH(cols, GET(p, xt); GET(w, weight); PUT(y + t * cols, p * inv * w););
  }
}

CLONED void rmsnorm_backward_f32(float *dx, int accumulate, const float *x, const float *weight, const float *inv_rms,
                                 const float *dy, size_t rows, size_t cols) {
  for (size_t t = 0; t < rows; t++) {
    const float *xt = x + t * cols, *gt = dy + t * cols;
    float *dt = dx + t * cols;
    f32x16 s = (f32x16)0.0f;
    EACH(cols, GET(p, xt); GET(w, weight); GET(g, gt); s = g * w * p + s;);
    const float inv = inv_rms[t], c = inv * inv * (sum16(&s) / (float)cols);
    if (accumulate) {
      EACH(cols, GET(p, xt); GET(w, weight); GET(g, gt); GET(o, dt); PUT(dt, (g * w - p * c) * inv + o););
    } else {
      EACH(cols, GET(p, xt); GET(w, weight); GET(g, gt); PUT(dt, (g * w - p * c) * inv););
    }
  }
}

CLONED void rmsnorm_weight_grad_acc_f32(float *dw, const float *x, const float *inv_rms, const float *dy, size_t rows,
                                        size_t cols) {
  for (size_t t = 0; t < rows; t++) {
    const float inv = inv_rms[t];
    EACH(cols, GET(p, x + t * cols); GET(g, dy + t * cols); GET(o, dw); PUT(dw, g * (p * inv) + o););
  }
}

CLONED void layernorm_f32(float *y, float *mean, float *inv_std, const float *x, const float *weight,
                          const float *bias, float eps, size_t rows, size_t cols) {
  for (size_t t = 0; t < rows; t++) {
    const float *xt = x + t * cols;
    f32x16 s = (f32x16)0.0f;
    EACH(cols, GET(p, xt); s += p;);
    const float mu = sum16(&s) / (float)cols;
    s = (f32x16)0.0f;
    EACH(cols, GET(p, xt); p -= mu; pad16(&p, lanes, 0.0f); s = p * p + s;);
    const float inv = inverse_root(sum16(&s) / (float)cols + eps);
    mean[t] = mu;
    inv_std[t] = inv;
    if (bias) {
      EACH(cols, GET(p, xt); GET(w, weight); GET(b, bias); PUT(y + t * cols, (p - mu) * inv * w + b););
    } else {
      EACH(cols, GET(p, xt); GET(w, weight); PUT(y + t * cols, (p - mu) * inv * w););
    }
  }
}

CLONED void layernorm_backward_f32(float *dx, int accumulate, const float *x, const float *weight, const float *mean,
                                   const float *inv_std, const float *dy, size_t rows, size_t cols) {
  for (size_t t = 0; t < rows; t++) {
    const float *xt = x + t * cols, *gt = dy + t * cols;
    float *dt = dx + t * cols;
    const float mu = mean[t], inv = inv_std[t];
    f32x16 s = (f32x16)0.0f, sx = (f32x16)0.0f;
    EACH(cols, GET(p, xt); GET(w, weight); GET(g, gt); g *= w; s += g; sx = g * ((p - mu) * inv) + sx;);
    const float a = sum16(&s) / (float)cols, b = sum16(&sx) / (float)cols;
    if (accumulate) {
      EACH(cols, GET(p, xt); GET(w, weight); GET(g, gt); GET(o, dt);
           PUT(dt, (g * w - a - (p - mu) * inv * b) * inv + o););
    } else {
      EACH(cols, GET(p, xt); GET(w, weight); GET(g, gt); PUT(dt, (g * w - a - (p - mu) * inv * b) * inv););
    }
  }
}

CLONED void layernorm_weight_grad_acc_f32(float *dw, float *db, const float *x, const float *mean,
                                          const float *inv_std, const float *dy, size_t rows, size_t cols) {
  for (size_t t = 0; t < rows; t++) {
    const float mu = mean[t], inv = inv_std[t];
    EACH(cols, GET(p, x + t * cols); GET(g, dy + t * cols); GET(o, dw); PUT(dw, g * ((p - mu) * inv) + o););
    if (db) {
      EACH(cols, GET(g, dy + t * cols); GET(o, db); PUT(db, g + o););
    }
  }
}
