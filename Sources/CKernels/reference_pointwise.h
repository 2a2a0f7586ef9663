// Included by reference.c per type: T, FN(name), M(libm name). Loops over one index.

#define LOOP for (size_t i = 0; i < n; i++)

void FN(add)(T *y, const T *a, const T *b, size_t n) { LOOP y[i] = a[i] + b[i]; }
void FN(sub)(T *y, const T *a, const T *b, size_t n) { LOOP y[i] = a[i] - b[i]; }
void FN(mul)(T *y, const T *a, const T *b, size_t n) { LOOP y[i] = a[i] * b[i]; }
void FN(div)(T *y, const T *a, const T *b, size_t n) { LOOP y[i] = a[i] / b[i]; }
void FN(square_root)(T *y, const T *x, size_t n) { LOOP y[i] = x[i] < 0 ? 0 : M(sqrt)(x[i]); }
void FN(square_root_backward_acc)(T *dx, const T *y, const T *dy, size_t n) {
  LOOP dx[i] += y[i] == 0 ? 0 : dy[i] / (2 * y[i]);
}
void FN(mul_acc)(T *y, const T *a, const T *b, size_t n) { LOOP y[i] += a[i] * b[i]; }
void FN(axpy)(T *y, T alpha, const T *x, size_t n) { LOOP y[i] += alpha * x[i]; }
void FN(scale)(T *y, T alpha, const T *x, size_t n) { LOOP y[i] = alpha * x[i]; }

double FN(sum)(const T *x, size_t n) {
  double s = 0;
  LOOP s += (double)x[i];
  return s;
}

double FN(sum_squares)(const T *x, size_t n) {
  double s = 0;
  LOOP s += (double)x[i] * (double)x[i];
  return s;
}

T FN(max_abs)(const T *x, size_t n) {
  T m = 0;
  LOOP m = M(fmax)(m, M(fabs)(x[i]));
  return m;
}

int FN(all_finite)(const T *x, size_t n) {
  LOOP if (!isfinite(x[i])) return 0;
  return 1;
}

static inline T FN(logistic)(T x) { return 1 / (1 + M(exp)(-x)); }

void FN(exp)(T *y, const T *x, size_t n) { LOOP y[i] = M(exp)(x[i]); }
void FN(exp_backward_acc)(T *dx, const T *y, const T *dy, size_t n) { LOOP dx[i] += dy[i] * y[i]; }
void FN(tanh)(T *y, const T *x, size_t n) { LOOP y[i] = M(tanh)(x[i]); }
void FN(tanh_backward_acc)(T *dx, const T *y, const T *dy, size_t n) { LOOP dx[i] += dy[i] * (1 - y[i] * y[i]); }
void FN(sigmoid)(T *y, const T *x, size_t n) { LOOP y[i] = FN(logistic)(x[i]); }
void FN(sigmoid_backward_acc)(T *dx, const T *y, const T *dy, size_t n) { LOOP dx[i] += dy[i] * (y[i] * (1 - y[i])); }
void FN(relu)(T *y, const T *x, size_t n) { LOOP y[i] = x[i] < 0 ? 0 : x[i]; }
void FN(relu_backward_acc)(T *dx, const T *y, const T *dy, size_t n) { LOOP dx[i] += y[i] > 0 ? dy[i] : 0; }

#define ROOT_2_PI ((T)0.797884560802865355880)
#define CUBIC ((T)0.044715)

void FN(gelu_tanh)(T *y, const T *x, size_t n) {
  LOOP {
    const T v = x[i], u = ROOT_2_PI * (v + CUBIC * v * v * v);
    y[i] = (T)0.5 * v * (1 + M(tanh)(u));
  }
}

void FN(gelu_tanh_backward_acc)(T *dx, const T *x, const T *dy, size_t n) {
  LOOP {
    const T v = x[i], h = M(tanh)(ROOT_2_PI * (v + CUBIC * v * v * v));
    dx[i] += dy[i] * (T)0.5 * ((1 + h) + v * (1 - h * h) * ROOT_2_PI * (1 + 3 * CUBIC * v * v));
  }
}

#define ROOT_HALF ((T)0.707106781186547524401)

void FN(gelu_erf)(T *y, const T *x, size_t n) { LOOP y[i] = (T)0.5 * x[i] * (1 + M(erf)(x[i] * ROOT_HALF)); }

void FN(gelu_erf_backward_acc)(T *dx, const T *x, const T *dy, size_t n) {
  LOOP {
    const T v = x[i], density = M(exp)(-v * v / 2) * (T)0.398942280401432677940;
    dx[i] += dy[i] * ((T)0.5 * (1 + M(erf)(v * ROOT_HALF)) + v * density);
  }
}

void FN(silu)(T *y, const T *x, size_t n) { LOOP y[i] = x[i] * FN(logistic)(x[i]); }

void FN(silu_backward_acc)(T *dx, const T *x, const T *dy, size_t n) {
  LOOP {
    const T s = FN(logistic)(x[i]);
    dx[i] += dy[i] * (s + x[i] * (s * (1 - s)));
  }
}

void FN(swiglu)(T *y, const T *g, const T *u, size_t n) { LOOP y[i] = g[i] * FN(logistic)(g[i]) * u[i]; }

void FN(swiglu_backward)(T *dg, T *du, const T *g, const T *u, const T *dy, size_t n) {
  LOOP {
    const T p = g[i], q = u[i], d = dy[i], s = FN(logistic)(p);
    dg[i] = d * q * (s + p * (s * (1 - s)));
    du[i] = d * (p * s);
  }
}

void FN(geglu_tanh)(T *y, const T *g, const T *u, size_t n) {
  LOOP {
    const T v = g[i];
    y[i] = (T)0.5 * v * (1 + M(tanh)(ROOT_2_PI * (v + CUBIC * v * v * v))) * u[i];
  }
}

void FN(geglu_tanh_backward)(T *dg, T *du, const T *g, const T *u, const T *dy, size_t n) {
  LOOP {
    const T v = g[i], q = u[i], d = dy[i], h = M(tanh)(ROOT_2_PI * (v + CUBIC * v * v * v));
    dg[i] = d * q * (T)0.5 * ((1 + h) + v * (1 - h * h) * ROOT_2_PI * (1 + 3 * CUBIC * v * v));
    du[i] = d * (T)0.5 * v * (1 + h);
  }
}

void FN(softcap)(T *y, const T *x, T scale, T cap, size_t n) { LOOP y[i] = cap * M(tanh)(scale * x[i] / cap); }

void FN(softcap_backward)(T *dx, const T *y, const T *dy, T scale, T cap, size_t n) {
  LOOP dx[i] = dy[i] * ((1 - y[i] / cap * (y[i] / cap)) * scale);
}

void FN(adamw)(T *param, const T *grad, T *m, T *v, double lr, double beta1, double beta2, double eps,
               double weight_decay, double bias_correction1, double bias_correction2, size_t n) {
  const T decay = (T)(1 - lr * weight_decay), mix = (T)(1 - beta1), rest = (T)(1 - (1 - beta1));
  const T keep = (T)beta2, fresh = (T)(1 - beta2), step = (T)(-(lr / bias_correction1));
  const T root = (T)sqrt(bias_correction2), least = (T)eps;
  LOOP {
    const T g = grad[i];
    const T p = param[i] * decay;
    m[i] = 1 - beta1 < 0.5 ? m[i] + mix * (g - m[i]) : g - (g - m[i]) * rest;
    v[i] = v[i] * keep + fresh * g * g;
    param[i] = p + step * m[i] / (M(sqrt)(v[i]) / root + least);
  }
}

void FN(dropout)(T *y, const T *x, double p, uint64_t key, uint64_t stream, uint64_t first, size_t n) {
  const uint64_t threshold = dropout_threshold(p);
  uint32_t w[4];
  LOOP {
    philox_block(key, stream, (first + i) >> 2, w);
    y[i] = w[(first + i) & 3] >= threshold ? x[i] * (T)(1 / (1 - p)) : 0;
  }
}

void FN(gather_scaled)(T *y, const T *theta, const int32_t *idx, const T *norms, size_t n) {
  LOOP y[i] = theta[idx[i]] * norms[idx[i]];
}

void FN(scatter_add)(T *g_theta, const T *g, const int32_t *idx, size_t n) { LOOP g_theta[idx[i]] += g[i]; }

#undef LOOP
#undef ROOT_2_PI
#undef CUBIC
#undef ROOT_HALF
