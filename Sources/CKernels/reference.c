// The scalar twins, in float and in double, from one source.
#include "include/kernels.h"
#include <math.h>
#include <string.h>
#include "philox.h"

#pragma clang fp contract(off)

#define T float
#define FN(name) name##_ref_f32
#define M(name) name##f
#include "reference_pointwise.h"
#include "reference_rows.h"
#include "reference_sparse.h"
#undef T
#undef FN
#undef M

#define T double
#define FN(name) name##_f64
#define M(name) name
#include "reference_pointwise.h"
#include "reference_rows.h"
#include "reference_sparse.h"
