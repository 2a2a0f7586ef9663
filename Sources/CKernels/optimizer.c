#include "include/kernels.h"
#include "vector.h"

// The scalars are worked out in double, as Python does, and each array operation rounds once, so nothing is fused.
#pragma clang fp contract(off)

CLONED void adamw_f32(float *param, const float *grad, float *m, float *v, double lr, double beta1, double beta2,
                      double eps, double weight_decay, double bias_correction1, double bias_correction2, size_t n) {
  const float decay = (float)(1 - lr * weight_decay), mix = (float)(1 - beta1), rest = (float)(1 - (1 - beta1));
  const float keep = (float)beta2, fresh = (float)(1 - beta2), step = (float)(-(lr / bias_correction1));
  const float root = (float)sqrt(bias_correction2), floor = (float)eps;
  const int near = 1 - beta1 < 0.5;
  EACH(n, GET(p, param); GET(g, grad); GET(a, m); GET(b, v);
       p *= decay;
       a = near ? a + mix * (g - a) : g - (g - a) * rest;
       b = b * keep;
       b = b + fresh * g * g;
       const f32x16 denominator = __builtin_elementwise_sqrt(b) / root + floor;
       PUT(m, a); PUT(v, b);
       PUT(param, p + step * a / denominator););
}
