/** Runs on the browser's audio thread: hands on the samples of one channel, 8 ms at a time. */

interface Processor {
  readonly port: MessagePort;
}
declare const AudioWorkletProcessor: new () => Processor;
declare function registerProcessor(name: string, processor: new () => Processor): void;

/** 8 ms at 16 kHz: one in 128 would wake the page 125 times a second already. */
const BLOCK = 128;

class Capture extends AudioWorkletProcessor {
  process(inputs: Float32Array[][]): boolean {
    // Without an input (a track that has just ended) the time goes on all the same.
    const samples = inputs[0]?.[0]?.slice() ?? new Float32Array(BLOCK);
    this.port.postMessage(samples, [samples.buffer]);
    return true;
  }
}

registerProcessor("capture", Capture);

export {};
