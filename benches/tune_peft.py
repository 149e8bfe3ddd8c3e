"""A step of prompt tuning by PEFT: the other side of `crossburn tune prompt`.

    python3 benches/tune_peft.py MODEL_DIR TEXTS.jsonl [STEPS] [THREADS]

Needs torch, transformers and peft. Every line of TEXTS.jsonl is {"text": "..."} of the same number of tokens; four make a batch, 20 virtual
tokens learn, and every token is predicted. The first step is the warm-up.
"""
import json, statistics, sys, time

import torch
from peft import PromptTuningConfig, TaskType, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, texts = sys.argv[1:3]
steps = int(sys.argv[3]) if len(sys.argv) > 3 else 6
torch.set_num_threads(int(sys.argv[4]) if len(sys.argv) > 4 else 2)

tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
model = get_peft_model(model, PromptTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=20))
lines = [json.loads(line)["text"] for line in open(texts)]
rows = [tokenizer(line, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id] for line in lines]
rows = torch.tensor(rows)
learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
optimizer = torch.optim.AdamW(learned, lr=0.03, weight_decay=0)

model.train()
wall, processor = [], []
for step in range(steps):
    batch = rows[[(4 * step + i) % len(rows) for i in range(4)]]
    start = time.perf_counter(), time.process_time()
    loss = model(input_ids=batch, attention_mask=torch.ones_like(batch), labels=batch).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    wall.append(time.perf_counter() - start[0])
    processor.append(time.process_time() - start[1])
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
medians = statistics.median(wall[1:]), statistics.median(processor[1:])
print(f"{rows.shape[1]} tokens a text: {medians[0]:.2f} s a step, {medians[1]:.2f} s of processor time; {peak / 1024:.0f} MiB at the peak")
