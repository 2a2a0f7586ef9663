"""What is measured: one entry a row of BENCHMARKS.md. Goals are ratios to the peer; a share is of the machine's own rate."""

ALL_LINEAR = "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj"

# A training step of ours and of the peer's, on the same batches, from the same adapter.
STEPS = {
    "llama-30m-lora": dict(text="LoRA r8 on q, v; 8 x 256", model="llama-30m", goal=2.2, reach=2.5, share=0.65, memory=0.35),
    "gpt2-124m-lora": dict(text="LoRA r8 on c_attn, c_proj; 4 x 256", model="gpt2-124m", targets="c_attn,c_proj", batch=4,
                           goal=2.4, reach=2.8, share=0.65, memory=0.35),
    "llama-160m-lora-all": dict(text="LoRA r16 on all linears; 2 x 512", model="llama-160m", rank=16, targets=ALL_LINEAR, batch=2,
                                seq=512, goal=2.2, share=0.65, memory=0.4),
    "llama-30m-dora": dict(text="DoRA r8 on q, v; 8 x 256", model="llama-30m", method="dora", goal=2.2, memory=0.4),
    "llama-30m-uni-lora": dict(text="Uni-LoRA r8 on q, v; 8 x 256", model="llama-30m", method="unilora", goal=2.2, memory=0.4),
    "llama-30m-randlora": dict(text="RandLoRA r8 on q, v; 8 x 256", model="llama-30m", method="randlora", goal=2.2, memory=0.4),
    "llama-30m-vera": dict(text="VeRA r8 on q, v; 8 x 256", model="llama-30m", method="vera", goal=2.2, memory=0.4),
    "llama-30m-full": dict(text="full fine-tuning; 8 x 256", model="llama-30m", method="full", goal=2.0, memory=0.6),
    "qwen-shape": dict(text="LoRA r8 on all linears, bfloat16 file; 1 x 512", model="qwen-shape", targets=ALL_LINEAR, batch=1, seq=512,
                       steps=3, warm_up=1, peak=4 << 30, plan=0.05),
}
STEP = dict(method="lora", rank=8, targets="q_proj,v_proj", batch=8, seq=256, steps=5, warm_up=2)
for name, row in STEPS.items():
    STEPS[name] = {**STEP, **row}

GENERATION = dict(text="greedy generation, 64-token prompt, 128 new tokens", model="llama-160m", prompt=64, new=128, times=2, goal=2.0)

# Every method of ours beside our own LoRA. What depends on the input, or goes through wavelets, Fourier or Walsh-Hadamard
# transforms or kernels, may take longer.
METHODS = dict(text="every method against our own LoRA, r8 on q, v; 8 x 256", model="llama-30m", rank=8, targets="q_proj,v_proj", steps=4,
               warm_up=2, goal=1.25, slow_goal=1.6)
SLOW = ["queryable-lora", "wara", "wavelet-gradient", "qwha", "hadamard-first-step", "snell", "fourierft", "waveft"]

STARTS = dict(text="data-driven starts", gradient_model="llama-30m", svd_model="llama-160m", rank=16, goal_svd=10.0, goal_peer=1.0,
              copies=1.0)

STARTUP = dict(text="start-up", model="llama-160m", methods_ms=50, load_s=0.3)

ROWS = [
    "llama-30m-lora", "gpt2-124m-lora", "llama-160m-lora-all", "llama-30m-dora", "llama-30m-uni-lora", "llama-30m-randlora",
    "llama-30m-vera", "llama-30m-full", "generate-llama-160m", "methods", "starts", "start-up", "qwen-shape",
]
