"""VLMEvalKit's own inference loop on some of our suites, as a program: the reference of the parity test.

python tests/support/vlmevalkit_loop.py MODEL_FOLDER ITEMS_FOLDER/SPLIT A,B OUT_FOLDER MAX_NEW_TOKENS
writes OUT_FOLDER/reference_<dataset>.tsv. A process of its own: it imports all of vlmeval.
"""

import os
import sys

from benchmarks.vlmevalkit import loading

os.environ["PRED_FORMAT"] = "tsv"

import torch
import vlmeval.dataset  # noqa: F401 - the whole package, before our adapter could import a part of it
from transformers import AutoModelForImageTextToText, AutoProcessor
from vlmeval.inference import infer_data_job
from vlmeval.vlm.qwen2_vl.model import Qwen2VLChat
from vlmeval.vlm.qwen2_vl.prompt import Qwen2VLPromptMixin

from benchmarks.registry.lookup import find


class OnAnyDevice(Qwen2VLChat):
    """VLMEvalKit's Qwen2-VL wrapper; its constructor insists on a GPU and on flash attention."""

    def __init__(self, model_path: str, max_new_tokens: int) -> None:
        Qwen2VLPromptMixin.__init__(self, use_custom_prompt=False)
        self.model_path = model_path
        self.min_pixels = self.max_pixels = self.total_pixels = self.system_prompt = None
        self.fps, self.nframe, self.verbose, self.post_process = 2, 128, False, False
        self.processor = AutoProcessor.from_pretrained(model_path)
        self.model = AutoModelForImageTextToText.from_pretrained(model_path, dtype=torch.float32).eval()
        self.generate_kwargs = {"max_new_tokens": max_new_tokens, "do_sample": False}

    def generate_inner(self, message: list[dict[str, str]], dataset: str | None = None) -> str:
        """As Qwen2VLChat.generate_inner_transformers, on the model's device."""
        from qwen_vl_utils import process_vision_info

        messages = [{"role": "user", "content": self._prepare_content(message, dataset=dataset)}]
        text = self.processor.apply_chat_template([messages], tokenize=False, add_generation_prompt=True)
        images, videos = process_vision_info([messages])
        inputs = self.processor(text=text, images=images, videos=videos, padding=True, return_tensors="pt")
        output = self.model.generate(**inputs.to(self.model.device), **self.generate_kwargs)
        new = [row[len(prompt) :] for prompt, row in zip(inputs.input_ids, output, strict=True)]
        return self.processor.tokenizer.batch_decode(
            new, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )[0]


def main(model_folder: str, root: str, benchmarks: str, out: str, max_new_tokens: str) -> None:
    """Answer every question of the suites, one by one."""
    torch.set_num_threads(1)
    model = OnAnyDevice(model_folder, int(max_new_tokens))
    for name in benchmarks.split(","):
        infer_data_job(model, out, "reference", loading.build_dataset(find(name), root))


if __name__ == "__main__":
    main(*sys.argv[1:])
