import { Controller, Get } from '@nestjs/common';
import { asyncApiDocument, type AsyncApiDocument } from '@tidemark/contracts';
import { Public } from '@tidemark/runtime';

@Public()
@Controller('docs')
export class AsyncApiController {
  private readonly document = asyncApiDocument();

  @Get('asyncapi.json')
  show(): AsyncApiDocument {
    return this.document;
  }
}
