"""The reference side of the GPU comparison: LoRA steps and denoising by transformers and PEFT, a JSON line for each figure.

    python3 reference.py train    --model FOLDER --weights folder|random --dtype bfloat16 --prompt N --response N --batch N
    python3 reference.py generate --model FOLDER --weights folder|random --dtype bfloat16 --batches 1,8
    python3 reference.py all      both, of one model

The training step is NeMo AutoModel's recipe: encode the clean row, decode all blocks twice (without gradient and without conditioning,
then conditioned with gradient), score one drawn block and the encoder's next tokens, clip, AdamW; gradients are recomputed by layers.
"""
import argparse
import inspect
import json
import threading
import time

import torch


def say(name, value, unit):
    print(json.dumps(dict(name=name, value=value, unit=unit)), flush=True)


class Peak:
    """The device's memory in use by the driver's count, as the other side reads it; on a CPU the process's."""

    def __init__(self, device):
        self.cuda, self.most, self.ends = device == "cuda", 0, False
        if self.cuda:
            self.thread = threading.Thread(target=self.watch, daemon=True)
            self.thread.start()

    def watch(self):
        while not self.ends:
            free, total = torch.cuda.mem_get_info()
            self.most = max(self.most, total - free)
            time.sleep(0.001)

    def gib(self):
        self.ends = True
        if self.cuda:
            self.thread.join()
            return self.most / 2**30
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def load(args):
    from transformers.models.diffusion_gemma.configuration_diffusion_gemma import DiffusionGemmaConfig
    from transformers.models.diffusion_gemma.modeling_diffusion_gemma import DiffusionGemmaForBlockDiffusion
    dtype = getattr(torch, args.dtype)
    if args.weights == "folder":
        return DiffusionGemmaForBlockDiffusion.from_pretrained(args.model, dtype=dtype, attn_implementation="sdpa").to(args.device)
    config = DiffusionGemmaConfig.from_pretrained(args.model)
    config._attn_implementation = "sdpa"
    from accelerate import init_empty_weights
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        # encoder and decoder make a stack of weights each before they are tied: on the device that would be the model twice
        with init_empty_weights(include_buffers=False):
            model = DiffusionGemmaForBlockDiffusion(config)
        model.tie_weights()
    finally:
        torch.set_default_dtype(before)
    return fill(model, dtype, args.device)


def fill(model, dtype, device):
    """Gives every parameter random values on the device, one that several modules share once."""
    generator = torch.Generator(device).manual_seed(1)
    filled = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is None:
                continue
            if parameter not in filled:
                values = torch.empty(parameter.shape, dtype=dtype, device=device)
                values = values.normal_(0, 0.02, generator=generator) if values.dim() > 1 else values.fill_(1)
                filled[parameter] = torch.nn.Parameter(values, requires_grad=parameter.requires_grad)
            module._parameters[name] = filled[parameter]
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = buffer.to(device)
    # encoder and decoder share all weights but self-conditioning's: where they do not, the comparison would be with twice the model
    stacks = model.model.encoder.language_model, model.model.decoder
    if stacks[0].layers[0].self_attn.q_proj.weight is not stacks[1].layers[0].self_attn.q_proj.weight:
        raise SystemExit("encoder and decoder are not tied: this version of transformers needs another way to make a random model.")
    say("parameters", sum(p.numel() for p in filled.values()), "")
    return model


def block_masks(config, prompt, response, device):
    """Per kind of layer [1,1,R,S+R], true = may be seen: a block sees the prompt, clean blocks before it, and itself."""
    canvas, window, length = config.canvas_length, config.text_config.sliding_window, prompt + response
    block = torch.arange(response, device=device)[:, None] // canvas
    key = torch.arange(length, device=device)[None]
    past = (key < prompt) | ((key - prompt) // canvas < block)
    near = key >= prompt + block * canvas - window + 1
    own = block == torch.arange(response, device=device)[None] // canvas
    join = lambda seen: torch.cat([seen, own], 1)[None, None]
    return {"full_attention": join(past), "sliding_attention": join(past & near)}


def train(args, model):
    from peft import LoraConfig, get_peft_model
    from transformers.cache_utils import DynamicCache
    peak = Peak(args.device)
    config = model.config
    text, canvas, prompt, response = config.text_config, config.canvas_length, args.prompt, args.response
    modules = r".*(language_model|decoder)\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)$"
    model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules=modules, lora_dropout=0.0))
    model.base_model.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=dict(use_reentrant=False))
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1.5e-4, betas=(0.95, 0.99), eps=1e-8, weight_decay=1e-4)
    base, device = model.base_model.model, args.device
    masks = block_masks(config, prompt, response, device)
    positions = torch.arange(prompt, prompt + response, device=device)[None]
    # newer versions hand the encoder's keys and values on as plain tensors where no cache is given, older ones need a cache
    needs_cache = "encoder_kv" not in inspect.signature(base.model.decoder.forward).parameters
    g = torch.Generator().manual_seed(1)
    cap = text.final_logit_softcapping
    seconds = []
    for step in range(args.training_steps):
        rows = [torch.randint(8, text.vocab_size - 8, (1, prompt + response), generator=g).to(device) for _ in range(args.batch)]
        if args.device == "cuda":
            torch.cuda.synchronize()
        began = time.perf_counter()
        for ids in rows:
            level = torch.rand(1, generator=g).to(device)
            clean = ids[:, prompt:]
            noise = torch.randint(0, text.vocab_size, clean.shape, generator=g).to(device)
            noisy = torch.where(torch.rand(clean.shape, generator=g).to(device) < level, noise, clean)
            coin = torch.rand(1, generator=g).to(device) < 0.5
            block = int(torch.randint(0, response // canvas, (1,), generator=g))

            def run(**conditioning):
                cache = dict(past_key_values=DynamicCache()) if needs_cache else {}
                return base(input_ids=ids, decoder_input_ids=noisy, decoder_attention_mask=masks, decoder_position_ids=positions,
                            **cache, **conditioning)
            with torch.no_grad():
                first = run().logits
            out = run(self_conditioning_logits=first, self_conditioning_mask=coin)
            scored = slice(block * canvas, (block + 1) * canvas)
            diffusion = torch.nn.functional.cross_entropy(out.logits[0, scored], clean[0, scored], reduction="sum") / (canvas * args.batch)
            encoded = base.lm_head(out.encoder_last_hidden_state[:, :-1]).float()
            encoded = cap * torch.tanh(encoded / cap)
            pairs = (ids.shape[1] - 1) * args.batch
            ar = torch.nn.functional.cross_entropy(encoded.flatten(0, 1), ids[:, 1:].flatten(), reduction="sum") / pairs
            (diffusion + ar).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if args.device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    say("lora.seconds", sum(seconds[1:]) / len(seconds[1:]), "s")
    say("lora.peak", peak.gib(), "GiB")


def generate(args, model):
    model.eval()
    canvas, vocabulary = model.config.canvas_length, model.config.text_config.vocab_size
    for batch in [int(b) for b in args.batches.split(",")]:
        ids = torch.randint(8, vocabulary - 8, (batch, 128), generator=torch.Generator().manual_seed(2)).to(args.device)
        peak = Peak(args.device)
        for _ in range(2):
            if args.device == "cuda":
                torch.cuda.synchronize()
            began = time.perf_counter()
            model.generate(ids, max_new_tokens=canvas, max_denoising_steps=args.denoising_steps, confidence_threshold=1e-9, t_min=0.4, t_max=0.8,
                           eos_token_id=1, pad_token_id=0)
            if args.device == "cuda":
                torch.cuda.synchronize()
            seconds = time.perf_counter() - began
        say(f"denoising.batch{batch}.seconds", seconds, "s")
        say(f"denoising.batch{batch}.peak", peak.gib(), "GiB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["train", "generate", "all"])
    parser.add_argument("--model", required=True)
    parser.add_argument("--weights", choices=["folder", "random"], default="random")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--prompt", type=int, default=256)
    parser.add_argument("--response", type=int, default=768)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--batches", default="1,8")
    parser.add_argument("--training-steps", type=int, default=4)
    parser.add_argument("--denoising-steps", type=int, default=8)
    arguments = parser.parse_args()
    loaded = load(arguments)
    if arguments.what != "train":
        generate(arguments, loaded)
    if arguments.device == "cuda":
        torch.cuda.empty_cache()
    if arguments.what != "generate":
        train(arguments, loaded)
