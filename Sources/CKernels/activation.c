#include "include/kernels.h"
#include "vector.h"

CLONED void exp_f32(float *y, const float *x, size_t n) {
  EACH(n, GET(p, x); exp16(&p); PUT(y, p););
}

CLONED void exp_backward_acc_f32(float *dx, const float *y, const float *dy, size_t n) {
  EACH(n, GET(p, y); GET(g, dy); GET(o, dx); PUT(dx, g * p + o););
}

CLONED void tanh_f32(float *y, const float *x, size_t n) {
  EACH(n, GET(p, x); tanh16(&p); PUT(y, p););
}

CLONED void tanh_backward_acc_f32(float *dx, const float *y, const float *dy, size_t n) {
  EACH(n, GET(p, y); GET(g, dy); GET(o, dx); PUT(dx, g * (1.0f - p * p) + o););
}

CLONED void sigmoid_f32(float *y, const float *x, size_t n) {
  EACH(n, GET(p, x); sigmoid16(&p); PUT(y, p););
}

CLONED void sigmoid_backward_acc_f32(float *dx, const float *y, const float *dy, size_t n) {
  EACH(n, GET(p, y); GET(g, dy); GET(o, dx); PUT(dx, g * (p * (1.0f - p)) + o););
}

CLONED void relu_f32(float *y, const float *x, size_t n) {
  EACH(n, GET(p, x); PUT(y, (p < 0.0f) ? (f32x16)0.0f : p););
}

CLONED void relu_backward_acc_f32(float *dx, const float *y, const float *dy, size_t n) {
  EACH(n, GET(p, y); GET(g, dy); GET(o, dx); PUT(dx, o + ((p > 0.0f) ? g : (f32x16)0.0f)););
}

// 0.5 (1 + tanh u) is sigmoid(2u), with u = sqrt(2/pi) (x + 0.044715 x^3); this is 2u.
#define TWO_U(x) ((x) * ((x) * (x) * 0.0713548162726f + 1.59576912161f))

CLONED void gelu_tanh_f32(float *y, const float *x, size_t n) {
  EACH(n, GET(p, x); f32x16 s = TWO_U(p); sigmoid16(&s); PUT(y, p * s););
}

CLONED void gelu_tanh_backward_acc_f32(float *dx, const float *x, const float *dy, size_t n) {
  EACH(n, GET(p, x); GET(g, dy); GET(o, dx);
       const f32x16 u = TWO_U(p);
       f32x16 s, q;
       logistic16(&u, &s, &q);
       const f32x16 slope = p * p * 0.2140644488178f + 1.59576912161f;
       PUT(dx, g * (s + p * slope * (s * q)) + o););
}

CLONED void gelu_erf_f32(float *y, const float *x, size_t n) {
  EACH(n, GET(p, x); f32x16 cdf, bell; normal16(&p, &cdf, &bell); PUT(y, p * cdf););
}

CLONED void gelu_erf_backward_acc_f32(float *dx, const float *x, const float *dy, size_t n) {
  EACH(n, GET(p, x); GET(g, dy); GET(o, dx); f32x16 cdf, bell; normal16(&p, &cdf, &bell);
       PUT(dx, g * (cdf + p * bell * 0.398942280401432678f) + o););
}

CLONED void silu_f32(float *y, const float *x, size_t n) {
  EACH(n, GET(p, x); f32x16 s = p; sigmoid16(&s); PUT(y, p * s););
}

CLONED void silu_backward_acc_f32(float *dx, const float *x, const float *dy, size_t n) {
  EACH(n, GET(p, x); GET(g, dy); GET(o, dx);
       f32x16 s, q;
       logistic16(&p, &s, &q);
       PUT(dx, g * (s + p * (s * q)) + o););
}

CLONED void swiglu_f32(float *y, const float *g, const float *u, size_t n) {
  EACH(n, GET(p, g); GET(q, u); f32x16 s = p; sigmoid16(&s); PUT(y, p * s * q););
}

CLONED void swiglu_backward_f32(float *dg, float *du, const float *g, const float *u, const float *dy, size_t n) {
  EACH(n, GET(p, g); GET(q, u); GET(d, dy);
       f32x16 s, r;
       logistic16(&p, &s, &r);
       PUT(dg, d * q * (s + p * (s * r)));
       PUT(du, d * (p * s)););
}

CLONED void geglu_tanh_f32(float *y, const float *g, const float *u, size_t n) {
  EACH(n, GET(p, g); GET(q, u); f32x16 s = TWO_U(p); sigmoid16(&s); PUT(y, p * s * q););
}

CLONED void geglu_tanh_backward_f32(float *dg, float *du, const float *g, const float *u, const float *dy, size_t n) {
  EACH(n, GET(p, g); GET(q, u); GET(d, dy);
       const f32x16 v = TWO_U(p);
       f32x16 s, r;
       logistic16(&v, &s, &r);
       const f32x16 slope = p * p * 0.2140644488178f + 1.59576912161f;
       PUT(dg, d * q * (s + p * slope * (s * r)));
       PUT(du, d * (p * s)););
}

CLONED void softcap_f32(float *y, const float *x, float scale, float cap, size_t n) {
  const float factor = scale / cap;
  EACH(n, GET(p, x); p *= factor; tanh16(&p); PUT(y, p * cap););
}

CLONED void softcap_backward_f32(float *dx, const float *y, const float *dy, float scale, float cap, size_t n) {
  const float factor = 1.0f / cap;
  EACH(n, GET(p, y); GET(g, dy); p *= factor; PUT(dx, g * ((1.0f - p * p) * scale)););
}
