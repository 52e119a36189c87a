"""A remote I/O module by pymodbus, on loopback: modbus_server.py PORT

100 discrete inputs, all 0, and 100 coils. A test drives and watches it by Modbus too:
writing coil 100+n sets input n; holding register n counts the rising edges of coil n.
"""
import asyncio
import sys

from pymodbus.server import StartAsyncTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

SIZE = 200
READ_INPUTS, READ_REGISTERS, WRITE_COIL = 2, 3, 5
coils = [False] * SIZE
edges = [0] * SIZE


async def act(function, _start, address, _count, registers, values):
    """Called for each request before it is served; `registers` are those of the function's table."""
    if function == WRITE_COIL and values:
        edges[address] += values[0] and not coils[address]
        coils[address] = bool(values[0])
    elif function == READ_INPUTS:
        for word in range(SIZE // 2 // 16):
            states = coils[100 + word * 16 : 116 + word * 16]
            registers[word] = sum(state << bit for bit, state in enumerate(states))
    elif function == READ_REGISTERS:
        registers[:SIZE] = edges


async def main(port):
    def bits():
        return [SimData(0, count=SIZE, values=False, datatype=DataType.BITS)]

    words = [SimData(0, count=SIZE, values=0, datatype=DataType.REGISTERS)]
    device = SimDevice(1, simdata=(bits(), bits(), words, words), action=act)
    await StartAsyncTcpServer(device, address=("127.0.0.1", port))


asyncio.run(main(int(sys.argv[1])))
